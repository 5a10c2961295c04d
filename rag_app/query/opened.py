"""An index as a LlamaIndex user opens one: a retriever, a query engine, an embedding."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import ConfigDict, PrivateAttr

from rag_app.errors import ConfigError
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, build_retriever
from rag_app.retrieve.options import KEPT
from rag_app.retrieve.trace import Ranking, TracedRetriever

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.response.schema import Response
    from llama_index.core.llms import LLM
    from llama_index.core.query_engine import BaseQueryEngine
    from llama_index.core.schema import TextNode

    from rag_app.index import IndexModel, OpenIndex, VectorIndex, Workspace
    from rag_app.llm.chat import ChatModel
    from rag_app.models.llama_index import Embedding


class IndexRetriever(TracedRetriever):
    """A LlamaIndex retriever over an index, which also knows all nodes that it can return.

    Arguments:
        build: makes the retriever of what is searched.
        searched: the index with its model.
    """

    def __init__(
        self, build: Callable[[Searched], TracedRetriever], searched: Searched, *, top_k: int
    ) -> None:
        self._build = build
        self._searched = searched
        self._retriever = build(searched)
        self.top_k = top_k
        super().__init__()

    def held_out(self) -> "IndexRetriever":
        """The same for evaluation: a question that is asked is not among the known ones."""
        searched = replace(self._searched, held_out=True)
        return IndexRetriever(self._build, searched, top_k=self.top_k)

    @property
    def nodes(self) -> "list[TextNode]":
        """Every chunk of the index, read now."""
        return list(self._searched.index.nodes())

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """One ranking per trace, best first."""
        return self._retriever.rank(traces)


class CitedQueryEngine(CustomQueryEngine):
    """A LlamaIndex query engine whose citations are checked against their passages.

    The response's metadata has the answer as `rag-app query --json` prints it; without a language
    model the passages are the answer.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    _retriever: Any = PrivateAttr()
    _llm: Any = PrivateAttr()

    def __init__(self, retriever: "BaseRetriever", llm: "ChatModel | None" = None) -> None:
        super().__init__()
        self._retriever = retriever
        self._llm = llm

    def custom_query(self, query_str: str) -> "Response":
        """Retrieve and answer."""
        from llama_index.core.base.response.schema import Response

        from rag_app.answer.answer import answer

        hits: list[NodeWithScore] = self._retriever.retrieve(QueryBundle(query_str))
        found = answer(query_str, hits, self._llm)
        text = found.text or "\n\n".join(hit.node.get_content() for hit in hits)
        return Response(text, source_nodes=hits, metadata={"answer": found.to_json()})


class Index:
    """An open index and the model that made it; `rag_app.open_index` opens one.

    Arguments:
        workspace: where it is kept.
        opened: the index with its model.

    >>> from rag_app import open_index
    >>> index = open_index(storage=storage)
    >>> index.as_query_engine(top_k=1).query("when do you open").source_nodes[0].node.text
    'We are open from nine to six.'
    """

    def __init__(self, workspace: "Workspace", opened: "OpenIndex[IndexModel]") -> None:
        self.workspace = workspace
        self._opened = opened

    @property
    def name(self) -> str:
        """Its name."""
        return self._opened.index.name

    @property
    def store(self) -> "VectorIndex":
        """Its chunks and vectors."""
        return self._opened.index

    @property
    def model(self) -> "IndexModel":
        """The model that made it."""
        return self._opened.model

    @property
    def embedding(self) -> "Embedding":
        """The model as a LlamaIndex embedding."""
        from rag_app.models.llama_index import Embedding

        return Embedding(self._opened.model)

    @cached_property
    def nodes(self) -> "list[TextNode]":
        """Every chunk by document and position, read once."""
        return self.store.ordered_nodes()

    def __len__(self) -> int:
        """Number of chunks."""
        return self.store.count()

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {len(self)} chunks, model {self.model.name!r})"

    def use(self) -> None:
        """Put the index into service: what opens an index without a name opens this one."""
        self.workspace.catalog.put_into_service(self.name)

    def as_retriever(
        self,
        retriever: str = KEPT,
        *,
        top_k: int = 10,
        where: str | None = None,
        fetch_k: int = 100,
        today: dt.date | None = None,
        llm: "ChatModel | None" = None,
    ) -> IndexRetriever:
        """A LlamaIndex retriever.

        Arguments:
            retriever: as `--retriever` takes it: "vector", "keyword", "hybrid:0.7", and steps after
                a +: "hybrid:0.7+questions+latest+rerank:MODEL". "vector" alone leaves out the
                known questions. "index" is the one that the index keeps: that of its verdict, or
                else "vector+questions".
            top_k: nodes to return.
            where: a metadata filter such as "category = billing and date >= 2023-06".
            fetch_k: candidates that hybrid and the steps choose from.
            today: the day that ages are counted from; the day of this call unless given.
            llm: for steps that rewrite the question.
        Raises:
            ConfigError: a retriever or filter that cannot be read, or a number out of range.
            ModelError: no such cross-encoder.
        """
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}; it takes 1 or more")
        tools = Tools.of(self.workspace, llm, today=today)
        options = RetrievalOptions.parse(retriever, fetch_k=fetch_k, where=where)
        build = partial(build_retriever, options=options, top_k=top_k, tools=tools)
        searched = Searched(self.store, self.model, cache=self.workspace.cache)
        return IndexRetriever(build, searched, top_k=top_k)

    def as_query_engine(
        self,
        llm: "LLM | ChatModel | None" = None,
        *,
        retriever: str = KEPT,
        top_k: int = 5,
        where: str | None = None,
    ) -> "BaseQueryEngine":
        """A LlamaIndex query engine.

        Arguments:
            llm: a LlamaIndex LLM answers through LlamaIndex's own synthesizer; a `ChatModel`
                (`rag_app.language_model`) answers with checked citations; without one the passages
                are the answer.
            retriever, top_k, where: as `as_retriever` takes them.
        """
        from llama_index.core.llms import LLM
        from llama_index.core.query_engine import RetrieverQueryEngine

        found = self.as_retriever(retriever, top_k=top_k, where=where)
        if isinstance(llm, LLM):
            return RetrieverQueryEngine.from_args(found, llm=llm)
        return CitedQueryEngine(found, llm)
