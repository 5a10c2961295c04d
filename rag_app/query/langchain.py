"""An index as LangChain retrieves from it; needs the extra `langchain`."""

from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from rag_app.errors import ConfigError
from rag_app.retrieve.options import KEPT

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError:
    raise ConfigError("LangChain is not installed: pip install 'rag-app[langchain]'") from None

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore

    from rag_app.query.opened import Index


class LangChainRetriever(BaseRetriever):
    """A LangChain `BaseRetriever` over an index: what was judged is what a chain gets.

    Each document has the metadata of its passage, with `document_id`, `score`, `start` and `end`
    (characters of the document's text) beside them.

    Arguments:
        index: as `rag_app.open_index` opens it.
        retriever, top_k, where, options: as `Index.as_retriever` takes them.
    Raises:
        ConfigError, ModelError: as `Index.as_retriever`.

    >>> from rag_app import open_index
    >>> retriever = LangChainRetriever(open_index(storage=storage), top_k=1)
    >>> [found] = retriever.invoke("when do you open")
    >>> found.page_content, found.metadata["document_id"]
    ('We are open from nine to six.', 'hours')
    """

    _retriever: Any = PrivateAttr()

    def __init__(
        self,
        index: "Index",
        retriever: str = KEPT,
        *,
        top_k: int = 4,
        where: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._retriever = index.as_retriever(retriever, top_k=top_k, where=where, **options)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun | None = None
    ) -> list[Document]:
        return [_document(hit) for hit in self._retriever.retrieve(query)]


def _document(hit: "NodeWithScore") -> Document:
    node = hit.node
    place = {
        "document_id": node.ref_doc_id,
        "score": float(hit.score or 0.0),
        "start": node.start_char_idx,
        "end": node.end_char_idx,
    }
    return Document(id=node.node_id, page_content=node.text, metadata={**node.metadata, **place})
