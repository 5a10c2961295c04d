"""The documents of an index, rebuilt from its chunks and searched for names and passages."""

import bisect
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from rag_app.chunks import chunks_by_document, overlay

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode


@dataclass(frozen=True, slots=True)
class Place:
    """Characters start..end of a document's text; None: all of it."""

    document_id: str
    start: int | None = None
    end: int | None = None


def document_texts(chunks: Iterable["TextNode"]) -> dict[str, str]:
    """Rebuild each document's text from its chunks; spaces stand where no chunk does."""
    return {
        document_id: overlay(group) for document_id, group in chunks_by_document(chunks).items()
    }


def squeeze(text: str) -> str:
    """A text without its white space: line breaks and lost blanks make no difference."""
    return "".join(text.split())


class Places:
    """Finds places in the documents of an index, by hash where it can be.

    Arguments:
        chunks: every chunk of the index.
    """

    def __init__(self, chunks: Sequence["TextNode"]) -> None:
        # By id, so that of two equal documents always the same one is found.
        self.texts = dict(sorted(document_texts(chunks).items()))
        self._ids = list(self.texts)
        self._chunks = {chunk.node_id: chunk for chunk in chunks}
        self._squeezed = {document_id: squeeze(text) for document_id, text in self.texts.items()}
        self._by_squeezed: dict[str, str] = {}
        for document_id, squeezed in self._squeezed.items():
            self._by_squeezed.setdefault(squeezed, document_id)
        self._by_ending = _unique_endings(self.texts)
        self._letters = cache(self._letters_of)

    def named(self, name: str) -> Place | None:
        """The document with this id, or with the only id that ends in it; or the chunk.

        A chunk that is all there is of its document stands for the document.
        """
        if name in self._chunks:
            chunk = self._chunks[name]
            place = Place(chunk.ref_doc_id, chunk.start_char_idx, chunk.end_char_idx)
            return Place(chunk.ref_doc_id) if self.fill([place]) else place
        path = name.replace("\\", "/").removeprefix("./")
        document_id = path if path in self.texts else self._by_ending.get(path)
        return None if document_id is None else Place(document_id)

    def span(self, document_id: str, start: int | None, end: int | None) -> Place | None:
        """A span less the blanks at its ends, if it holds any text of the document."""
        if start is None or end is None or not 0 <= start < end <= len(self.texts[document_id]):
            return None
        inside = self.texts[document_id][start:end]
        start += len(inside) - len(inside.lstrip())
        end -= len(inside) - len(inside.rstrip())
        return Place(document_id, start, end) if start < end else None

    def text(self, place: Place) -> str:
        """What stands there."""
        return self.texts[place.document_id][place.start : place.end]

    def within(self, document_id: str, passage: str) -> Place | None:
        """Where a passage stands in one document: to the letter, or but for white space."""
        squeezed = squeeze(passage)
        if not squeezed:
            return None
        start = self.texts[document_id].find(passage)
        if start >= 0:
            return self.span(document_id, start, start + len(passage))
        start = self._squeezed[document_id].find(squeezed)
        return self._unsqueezed(document_id, start, len(squeezed)) if start >= 0 else None

    def equal(self, squeezed: str) -> Place | None:
        """The document that is this text, but for white space."""
        document_id = self._by_squeezed.get(squeezed)
        return None if document_id is None else Place(document_id)

    def containing(self, squeezed: str, *, only: bool) -> Place | None:
        """Where this text stands first in any document, but for white space.

        Arguments:
            only: find nothing if it stands in a second document.
        """
        joined, starts = self._joined
        at = joined.find(squeezed)
        if at < 0:
            return None
        number = bisect.bisect_right(starts, at) - 1
        document_id, start = self._ids[number], starts[number]
        if only and squeezed in joined[start + len(self._squeezed[document_id]) :]:
            return None
        return self._unsqueezed(document_id, at - start, len(squeezed))

    def fill(self, places: Sequence[Place]) -> bool:
        """Whether places of one document leave nothing of it but white space."""
        text = self.texts[places[0].document_id]
        end = 0
        for place in sorted(places, key=lambda place: place.start or 0):
            if text[end : place.start].strip():
                return False
            end = max(end, place.end or 0)
        return not text[end:].strip()

    @cached_property
    def _joined(self) -> tuple[str, list[int]]:
        """All texts as one, so that a single search goes through them; and where each begins."""
        texts = self._squeezed.values()
        lengths = itertools.accumulate((len(text) + 1 for text in texts), initial=0)
        return "\0".join(texts), list(lengths)[:-1]

    def _unsqueezed(self, document_id: str, start: int, length: int) -> Place:
        letters = self._letters(document_id)
        return Place(document_id, letters[start], letters[start + length - 1] + 1)

    def _letters_of(self, document_id: str) -> list[int]:
        """Where each letter of the squeezed text stands in the text."""
        text = self.texts[document_id]
        return [place for place, letter in enumerate(text) if not letter.isspace()]


def _unique_endings(document_ids: Iterable[str]) -> dict[str, str]:
    """Endings of ids ("pickup.md", "orders/pickup.md") that only one document's has."""
    owners: dict[str, str | None] = {}
    for document_id in document_ids:
        for mark in re.finditer("[/#]", document_id):
            ending = document_id[mark.end() :]
            owners[ending] = None if ending in owners else document_id
    return {ending: owner for ending, owner in owners.items() if owner is not None}
