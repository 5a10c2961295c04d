"""Raised and lowered letters of a Hangul document (.hwp)."""

import struct
from collections.abc import Sequence
from itertools import pairwise

from rag_app.documents.hwp_records import Record
from rag_app.documents.runs import Run, written

# Tags of records: a paragraph's text, and which shape its letters have from which place on.
_TEXT, _SHAPES = 67, 68


def mark_runs(sections: Sequence[Sequence[Record]], heights: Sequence[int]) -> None:
    """Write what raised and lowered letters mean into the texts of paragraphs.

    Arguments:
        heights: of each shape of letters, 1 where these are raised, -1 where they are lowered.
    """
    if not any(heights):
        return
    for section in sections:
        for top in section:
            for record in top.walk():
                _mark(record, heights)


def _mark(paragraph: Record, heights: Sequence[int]) -> None:
    by_tag = {record.tag: place for place, record in enumerate(paragraph.inner)}
    if _TEXT not in by_tag or _SHAPES not in by_tag:
        return
    text = paragraph.inner[by_tag[_TEXT]].data
    runs = _runs(text, paragraph.inner[by_tag[_SHAPES]].data, heights)
    if any(run.height for run in runs):
        marked = "".join(written(runs)).encode("utf-16-le", "surrogatepass")
        paragraph.inner[by_tag[_TEXT]] = Record(_TEXT, marked)


def _runs(text: bytes, shapes: bytes, heights: Sequence[int]) -> list[Run]:
    """The text in pieces of one shape; places count units of two bytes."""
    pairs = [
        (2 * place, heights[shape] if shape < len(heights) else 0)
        for place, shape in struct.iter_unpack("<II", shapes[: len(shapes) // 8 * 8])
    ]
    bounds = [*pairs, (len(text), 0)]
    return [
        Run(text[start:end].decode("utf-16-le", "surrogatepass"), height)
        for (start, height), (end, _) in pairwise(bounds)
    ]
