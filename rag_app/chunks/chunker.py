"""LlamaIndex's node parser over the parts beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from llama_index.core.node_parser.interface import NodeParser
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode
from pydantic import PrivateAttr

from rag_app.chunking import Chunking
from rag_app.chunks.nodes import EMBEDDED_KEY, build_nodes
from rag_app.chunks.packing import Page, fitting, pack
from rag_app.chunks.token_spans import TokenSpans
from rag_app.text.layout import Layout
from rag_app.text.sentences import SENTENCE_SPLITTERS
from rag_app.vectors import Embedder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class PassageModel(Embedder, Protocol):
    """An `Embedder` that also says what it reads of a text, so that documents can be cut for it."""

    @property
    def tokenizer(self) -> "Tokenizer":
        """Finds the places of tokens; neither truncates nor pads."""
        ...

    @property
    def overhead_tokens(self) -> int:
        """Tokens of a passage that are not its text: prompt and special tokens."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each passage, prompt and special tokens included."""
        ...


class SentenceChunker(NodeParser):
    """Packs whole sentences into chunks of at most `chunk_size` tokens.

    A sentence longer than a chunk is cut between words. A heading is never a chunk's last line.
    Neighbouring chunks share whole sentences of at most `chunk_overlap` tokens.
    """

    chunk_size: int
    chunk_overlap: int
    sentences: str
    overhead_tokens: int
    _tokenizer: Any = PrivateAttr()

    @classmethod
    def for_model(cls, model: PassageModel, chunking: Chunking) -> "SentenceChunker":
        """A chunker that counts in this model's tokens."""
        parser = cls(
            chunk_size=chunking.chunk_size,
            chunk_overlap=chunking.chunk_overlap,
            sentences=chunking.sentences,
            overhead_tokens=model.overhead_tokens,
        )
        parser._tokenizer = model.tokenizer
        return parser

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex stores this parser."""
        return "SentenceChunker"

    def get_nodes_from_documents(
        self, documents: Sequence[Document], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        """Cut documents into nodes whose `start_char_idx` and `end_char_idx` are exact."""
        return self._parse_nodes(documents, show_progress, **kwargs)

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        return [chunk for node in nodes for chunk in self._chunks(node)]

    def _chunks(self, document: BaseNode) -> list[TextNode]:
        text = document.get_content(metadata_mode=MetadataMode.NONE)
        tokens = TokenSpans(self._tokenizer, text)
        title = str(document.metadata.get(EMBEDDED_KEY, ""))
        title_tokens = len(self._tokenizer.encode(title, add_special_tokens=False).ids)
        budget = self.chunk_size - self.overhead_tokens - title_tokens
        # A title as long as a chunk must not leave the text no room; ingest counts what is cut.
        budget = max(budget, self.chunk_size // 2)
        overlap = min(self.chunk_overlap, budget // 2)
        layout = Layout.of(text)
        page = Page(tokens, layout, budget)
        sentences = fitting(layout.with_rows(SENTENCE_SPLITTERS[self.sentences](text)), page)
        return build_nodes(document, text, pack(sentences, page, overlap=overlap), layout=layout)
