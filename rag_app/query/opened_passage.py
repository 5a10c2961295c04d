"""A passage in its document: the text before it, itself, the text after it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rag_app.chunks import overlay
from rag_app.errors import RequestError

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

# Chunks before and after a passage.
AROUND = 2


@dataclass(frozen=True)
class OpenedPassage:
    """A piece of a document, and where in it the passage stands.

    Fields:
        start, end: characters of `text`.
        begins, ends: whether the piece begins and ends where the document does.
    """

    document: str
    title: str
    path: str
    text: str
    start: int
    end: int
    begins: bool = True
    ends: bool = True

    @property
    def before(self) -> str:
        """What stands before the passage."""
        return self.text[: self.start]

    @property
    def passage(self) -> str:
        """The passage."""
        return self.text[self.start : self.end]

    @property
    def after(self) -> str:
        """What follows the passage."""
        return self.text[self.end :]

    def to_json(self) -> dict[str, Any]:
        """As `/open` of `rag-app serve` sends it."""
        values = asdict(self)
        del values["begins"], values["ends"]
        return values


def open_passage(
    chunks: Sequence["TextNode"], start: int, end: int, *, around: int = AROUND
) -> OpenedPassage:
    """A passage with the chunks around it.

    Arguments:
        chunks: all chunks of its document, in order.
        start, end: where it stands; characters of the document's text.
        around: chunks before and after it.
    Raises:
        RequestError: no chunk stands there.
    """
    touched = [n for n, chunk in enumerate(chunks) if _overlaps(chunk, start, end)]
    if not touched:
        raise RequestError(
            "the index was written since, and the passage is not in it any more; ask again"
        )
    # Neighbours may share text with the passage; `around` counts from those that lie inside it.
    held = [n for n in touched if _lies_in(chunks[n], start, end)] or touched
    piece = chunks[max(0, held[0] - around) : held[-1] + around + 1]
    offset = min(chunk.start_char_idx for chunk in piece)
    first = chunks[held[0]]
    return OpenedPassage(
        document=str(first.ref_doc_id),
        title=str(first.metadata.get("title", "")),
        path=str(first.metadata.get("path", "")),
        text=overlay(piece, paragraphs=True)[offset:].rstrip(),
        start=start - offset,
        end=end - offset,
        begins=piece[0] is chunks[0],
        ends=piece[-1] is chunks[-1],
    )


def _overlaps(chunk: "TextNode", start: int, end: int) -> bool:
    return bool(chunk.start_char_idx < end and start < chunk.end_char_idx)


def _lies_in(chunk: "TextNode", start: int, end: int) -> bool:
    return bool(start <= chunk.start_char_idx and chunk.end_char_idx <= end)
