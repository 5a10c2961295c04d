"""Document -> TextNode: sizes in the model's tokens, exact spans, content-hash ids.

LlamaIndex's SentenceSplitter finds a chunk's place by searching its text in the document, which
goes wrong where a text repeats, and counts tokens of another tokenizer unless told; this parser has
the same interface and works on spans from the start.
"""

import bisect
import hashlib
import itertools
import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llama_index.core.node_parser.interface import NodeParser
from llama_index.core.schema import (
    BaseNode,
    Document,
    MetadataMode,
    NodeRelationship,
    TextNode,
)
from pydantic import PrivateAttr

from rag_app.chunking import WHOLE_PASSAGES as WHOLE_PASSAGES
from rag_app.chunking import Chunking as Chunking
from rag_app.known import KNOWN_QUESTIONS
from rag_app.text.layout import Layout
from rag_app.text.sentences import SENTENCE_SPLITTERS, Span
from rag_app.vectors import Embedder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


# Of a document's metadata only this is embedded with a chunk: it says what the chunk is about.
EMBEDDED_KEY = "title"
# Embedded too, of a chunk that begins among the rows of a table: what its columns are.
TABLE_HEADER = "table_header"
_EMBEDDED = (EMBEDDED_KEY, TABLE_HEADER)
PAGE_STARTS = "page_starts"
# Of a chunk whose first lines belong to a block of code that began before.
BEGINS_IN_CODE = "begins_in_code"
# Of a document and not of its chunks.
_DOCUMENT_KEYS = {PAGE_STARTS, KNOWN_QUESTIONS}
# What a chunk's metadata has besides its document's.
CHUNK_KEYS = (
    *("document_hash", "chunk_index", "chunk_count", "page", "page_end"),
    *(TABLE_HEADER, BEGINS_IN_CODE),
)
# Characters; what is longer is no token, but a word without a blank in it.
LONGEST_TOKEN = 64
# Characters that are tokenized at once.
WINDOW = 200_000


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
        page = _Page(tokens, layout, budget)
        sentences = fitting(layout.with_rows(SENTENCE_SPLITTERS[self.sentences](text)), page)
        return build_nodes(document, text, pack(sentences, page, overlap=overlap), layout=layout)


class TokenSpans:
    """A text's tokens by their place, so that any span is counted without tokenizing again.

    A long text is tokenized in windows that end with a line or a word: a tokenizer holds some 150
    bytes for each character of what it is given.
    """

    def __init__(self, tokenizer: "Tokenizer", text: str, *, window: int = WINDOW) -> None:
        self.text = text
        self.starts = array("L")
        for first, last in windows(text, window):
            encoding = tokenizer.encode(text[first:last], add_special_tokens=False)
            self.starts.extend(
                first + place
                for start, end in encoding.offsets
                if end > start
                # A word that a tokenizer does not know is one token to it, however long.
                for place in range(start, end, end - start if end - start <= LONGEST_TOKEN else 4)
            )

    def count(self, start: int, end: int) -> int:
        """Tokens that begin in text[start:end]."""
        return bisect.bisect_left(self.starts, end) - bisect.bisect_left(self.starts, start)

    def cut(self, span: Span, budget: int, *, reserved: int = 0) -> list[Span]:
        """Cut a span into pieces of at most `budget` tokens, between words where there are any.

        The first piece leaves room for `reserved` tokens before it.
        """
        start, end = span
        pieces: list[Span] = []
        room = max(budget - reserved, 1)
        while self.count(start, end) > (room if not pieces else budget):
            size = room if not pieces else budget
            limit = self.starts[bisect.bisect_left(self.starts, start) + size]
            space = self.text.rfind(" ", start + (limit - start) // 2, limit)
            middle = space + 1 if space > start else limit
            pieces.append((start, start + len(self.text[start:middle].rstrip())))
            start = middle
        return [*pieces, (start, end)]


def windows(text: str, longest: int) -> Iterator[Span]:
    """The whole text in parts of at most so many characters, cut after a line, or else a blank.

    >>> list(windows("one two\\nthree", 9))
    [(0, 8), (8, 13)]
    """
    start = 0
    while len(text) - start > longest:
        half, end = start + longest // 2, start + longest
        cut = max(text.rfind("\n", half, end), 0) or max(text.rfind(" ", half, end), 0)
        end = cut + 1 if cut else end
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)


@dataclass(frozen=True)
class _Page:
    """A text that is cut: its tokens, its tables and code, and the tokens of a chunk."""

    tokens: TokenSpans
    layout: Layout
    budget: int

    @property
    def text(self) -> str:
        return self.layout.text

    def room(self, start: int) -> int:
        """Tokens of a chunk that begins here: among a table's rows, less those of its header.

        A header as long as a chunk must not leave the rows no room.
        """
        header = table_header(self.layout, start)
        taken = self.tokens.count(*header) if header else 0
        return max(self.budget - taken, self.budget // 2, 1)

    def announces(self, sentence: Span) -> bool:
        """Whether a sentence is a heading or a table's header, which must not end a chunk."""
        start = sentence[0]
        is_heading = self.text.startswith("#", start) and not self.layout.in_code(start)
        return is_heading or self.layout.is_header(start)


# Characters of a header that chunks repeat; one that is longer is no header.
_LONGEST_HEADER = 400


def table_header(layout: Layout, start: int) -> Span | None:
    """The header that a chunk repeats which begins here, among the rows of a table."""
    header = layout.header(start)
    return header if header and header[1] - header[0] <= _LONGEST_HEADER else None


def fitting(sentences: Sequence[Span], page: _Page) -> list[Span]:
    """Cut sentences that are longer than a chunk, so that their headings still fit before them."""
    pieces: list[Span] = []
    announced = None
    for start, end in sentences:
        reserved = 0 if announced is None else page.tokens.count(announced, start)
        pieces += page.tokens.cut((start, end), page.room(start), reserved=reserved)
        if not page.announces((start, end)):
            announced = None
        elif announced is None:
            announced = start
    return pieces


def pack(sentences: Sequence[Span], page: _Page, *, overlap: int) -> list[Span]:
    """Join neighbouring sentences into spans of at most the page's budget of tokens."""
    spans: list[Span] = []
    first = 0
    while first < len(sentences):
        after = first + 1
        start = sentences[first][0]
        room = page.room(start)
        while after < len(sentences) and page.tokens.count(start, sentences[after][1]) <= room:
            after += 1
        if after < len(sentences):
            after = _leave_headings(sentences, page, first, after)
        spans.append((start, sentences[after - 1][1]))
        if after == len(sentences):
            break
        first = _step_back(sentences, page, first, after, overlap=overlap)
    return spans


def _leave_headings(sentences: Sequence[Span], page: _Page, first: int, after: int) -> int:
    """Give headings at the end of a chunk to the next one, which they announce."""
    last = after
    while last - 1 > first and page.announces(sentences[last - 1]):
        last -= 1
    return last


def _step_back(
    sentences: Sequence[Span], page: _Page, first: int, after: int, *, overlap: int
) -> int:
    """The sentence with which the next chunk begins, so that at most `overlap` tokens repeat.

    Nothing repeats where the next new sentence would not fit behind it: a chunk must bring
    something new.
    """
    count = page.tokens.count
    back = after
    end = sentences[after - 1][1]
    new = next((i for i in range(after, len(sentences)) if not page.announces(sentences[i])), -1)
    while (
        back - 1 > first
        and count(sentences[back - 1][0], end) <= overlap
        and count(sentences[back - 1][0], sentences[new][1]) <= page.room(sentences[back - 1][0])
    ):
        back -= 1
    return back


def build_nodes(
    document: BaseNode, text: str, spans: Sequence[Span], *, layout: Layout | None = None
) -> list[TextNode]:
    """Nodes for the spans of one document, linked in order, each with all it needs to be found.

    Arguments:
        layout: of the text; found unless given.
    """
    metadata = {key: value for key, value in document.metadata.items() if key not in _DOCUMENT_KEYS}
    page_starts: list[int] = json.loads(document.metadata.get(PAGE_STARTS, "[]"))
    layout = layout or Layout.of(text)
    digest = document_hash(document)
    nodes = []
    for index, span in enumerate(spans):
        own = {"document_hash": digest, "chunk_index": index, "chunk_count": len(spans)}
        place = _pages(span, page_starts) | _within(span[0], layout)
        nodes.append(_node(document.node_id, text, span, {**metadata, **own, **place}))
    for before, behind in itertools.pairwise(nodes):
        before.relationships[NodeRelationship.NEXT] = behind.as_related_node_info()
        behind.relationships[NodeRelationship.PREVIOUS] = before.as_related_node_info()
    return nodes


def _pages(span: Span, page_starts: Sequence[int]) -> dict[str, int]:
    """The page on which a chunk begins and, where that is another, the one on which it ends."""
    if not page_starts:
        return {}
    start, end = span
    first = bisect.bisect_right(page_starts, start)
    last = bisect.bisect_right(page_starts, end - 1)
    return {"page": first, "page_end": last} if last > first else {"page": first}


def _within(start: int, layout: Layout) -> dict[str, Any]:
    """What a chunk that begins here is in the middle of: a table, a block of code."""
    header = table_header(layout, start)
    if header:
        return {TABLE_HEADER: layout.text[slice(*header)].rstrip()}
    return {BEGINS_IN_CODE: True} if layout.in_code(start) else {}


def _node(document_id: str, text: str, span: Span, metadata: dict[str, Any]) -> TextNode:
    from llama_index.core.schema import RelatedNodeInfo

    start, end = span
    hidden = [key for key in metadata if key not in _EMBEDDED]
    node = TextNode(
        text=text[start:end],
        start_char_idx=start,
        end_char_idx=end,
        metadata=metadata,
        excluded_embed_metadata_keys=hidden,
        excluded_llm_metadata_keys=hidden,
        metadata_template="{value}",
        text_template="{metadata_str}\n{content}",
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document_id)},
    )
    key = f"{document_id}\0{start}\0{end}\0{passage_text(node)}"
    node.id_ = hashlib.sha256(key.encode()).hexdigest()[:32]
    return node


def passage_text(node: BaseNode) -> str:
    """What is embedded for a chunk, in ingest, training and evaluation alike.

    Its title, the header of the table that it goes on with, and its text.
    """
    text: str = node.get_content(metadata_mode=MetadataMode.EMBED)
    return text


def chunks_by_document(chunks: Iterable[TextNode]) -> dict[str, list[TextNode]]:
    """Group chunks by their document's id, in the order of their places."""
    groups: dict[str, list[TextNode]] = defaultdict(list)
    for chunk in chunks:
        groups[chunk.ref_doc_id].append(chunk)
    for group in groups.values():
        group.sort(key=lambda chunk: (chunk.start_char_idx, chunk.end_char_idx))
    return dict(groups)


def chunks_at(start: int | None, end: int | None, chunks: Sequence[TextNode]) -> frozenset[str]:
    """Ids of a document's chunks that hold a place of its text; empty only without chunks.

    Without a place: all of them. With one: those that cover it; if none does, those that hold half
    of it or more; if none does, the one that holds most.
    """
    if start is None or end is None or not chunks:
        return frozenset(chunk.node_id for chunk in chunks)
    # Below zero where they do not meet, so that the nearest chunk has the most.
    shared = {
        chunk.node_id: min(end, chunk.end_char_idx) - max(start, chunk.start_char_idx)
        for chunk in chunks
    }
    for enough in (end - start, (end - start) / 2):
        if good := [chunk_id for chunk_id, overlap in shared.items() if overlap >= enough]:
            return frozenset(good)
    return frozenset([max(shared, key=lambda chunk_id: shared[chunk_id])])


def overlay(chunks: Sequence["TextNode"], *, paragraphs: bool = False) -> str:
    """Lay the texts of one document's chunks over each other; spaces stand where no chunk does.

    Arguments:
        chunks: in the order of their starts.
        paragraphs: line breaks stand where two blanks or more are missing, as between paragraphs.
    Returns:
        text in which the chunks' character places hold.
    """
    pieces: list[str] = []
    length = 0
    for chunk in chunks:
        start, end = chunk.start_char_idx, chunk.end_char_idx
        if end > length:
            gap = start - length
            blank = "\n" if paragraphs and gap > 1 else " "
            pieces += [blank * gap, chunk.text[max(length - start, 0) :]]
            length = end
    return "".join(pieces)


def document_hash(document: BaseNode) -> str:
    """Hash of a document's text and metadata, 16 hex digits: it changes when anything does.

    Save for the questions that it is known to answer, which are no part of its chunks.
    """
    content = document.get_content(metadata_mode=MetadataMode.NONE)
    own = {key: value for key, value in document.metadata.items() if key != KNOWN_QUESTIONS}
    metadata = json.dumps(own, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{content}\0{metadata}".encode()).hexdigest()[:16]
