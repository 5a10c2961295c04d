"""Hangul documents (.hwp, from Hangul 5 on): paragraphs, tables, notes; as .hwpx are read."""

import re
import struct
from collections.abc import Iterator, Sequence

from rag_app.documents.content import Content
from rag_app.documents.hwp_looks import mark_runs
from rag_app.documents.hwp_records import Record, open_hwp
from rag_app.documents.left_out import LeftOut, counted
from rag_app.documents.rows import Cell, cells_text
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise

# Tags of records.
_PARAGRAPH, _TEXT, _CONTROL, _LIST = 66, 67, 71, 72
_SHAPE, _TABLE, _OBJECT, _PICTURE, _EQUATION, _FORM, _MEMO = 76, 77, 84, 85, 88, 91, 93
_TABLE_CONTROL, _EQUATION_CONTROL, _NUMBER_CONTROL, _COMMENT = "tbl ", "eqed", "atno", "tcmt"
_NOTES = ("fn  ", "en  ")
_BOXES = ("gso ", "head", "foot")
# Of automatic numbers, those of pictures, tables and equations; pages and notes have others.
_CAPTION_NUMBERS = (3, 4, 5)
# In a paragraph's text these stand for eight characters, or for one.
_CODE = re.compile("[\x01-\x09\x0b\x0c\x0e-\x17][\\s\\S]{0,7}|[\x00\x0a\x0d\x18-\x1f]")
_LETTERS = {"\t": "\t", "\n": "\n", "\x18": "-", "\x1e": " ", "\x1f": " "}
# Of the former, those that stand for the next of the paragraph's controls.
_CONTROLS = "\x01\x02\x03\x0b\x0c\x0e\x0f\x10\x11\x12\x15\x16\x17"
# Empty paragraphs are how many writers part pages.
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


def read_hwp(source: Source) -> list[Content]:
    """Read a Hangul document as one document.

    Raises:
        DocumentError: it is none, is locked, has no text, or olefile is not installed.
    """
    document = open_hwp(source)
    mark_runs(document.sections, document.heights)
    text = _EMPTY_LINES.sub("\n\n", normalise("\n\n".join(map(_blocks_of, document.sections))))
    if not text:
        raise DocumentError("holds no text; it may be pictures of pages")
    return [
        Content(
            text,
            kind="hwp",
            title=document.about.get("title"),
            fields={key: document.about[key] for key in ("creator",) if key in document.about},
            dates=[document.about[key] for key in ("created", "modified") if key in document.about],
            left_out=_left_out(document.sections),
        )
    ]


def _left_out(sections: Sequence[Sequence[Record]]) -> list[LeftOut]:
    every = [one for section in sections for top in section for one in top.walk()]
    comments = sum(one.tag == _MEMO or _kind(one) == _COMMENT for one in every)
    counts = {
        "pictures": sum(one.tag == _PICTURE for one in every),
        "objects of other programs": sum(one.tag == _OBJECT for one in every),
        "fields of a form": sum(one.tag == _FORM for one in every),
        "comments": comments,
    }
    return counted(counts)


def _kind(record: Record) -> str:
    """What a control is; four letters, kept from the last to the first."""
    return record.data[3::-1].decode("latin-1") if record.tag == _CONTROL else ""


def _blocks_of(records: Sequence[Record]) -> str:
    """The paragraphs among records of one level, one a line."""
    return "\n".join(block for one in records if one.tag == _PARAGRAPH for block in _blocks(one))


def _blocks(paragraph: Record) -> Iterator[str]:
    """The lines of a paragraph; tables, notes and boxes follow it."""
    controls = [one for one in paragraph.inner if one.tag == _CONTROL]
    words = map(_in_line, controls)
    line = "".join(_line(one.data, words) for one in paragraph.inner if one.tag == _TEXT)
    yield line + "".join(words)
    yield from filter(None, map(_behind, controls))


def _line(data: bytes, words: Iterator[str]) -> str:
    """A paragraph's text.

    Arguments:
        words: what its controls say within the line, in their order.
    """

    def written(match: re.Match[str]) -> str:
        code = match[0][0]
        return next(words, "") if code in _CONTROLS else _LETTERS.get(code, "")

    # Pairs of units that are one letter are joined only behind: controls count units.
    units = "".join(map(chr, struct.unpack_from(f"<{len(data) // 2}H", data)))
    joined = _CODE.sub(written, units).encode("utf-16-le", "surrogatepass")
    return joined.decode("utf-16-le", "replace")


def _in_line(control: Record) -> str:
    """What a control says within its line."""
    if _kind(control) == _NUMBER_CONTROL:
        what, number = struct.unpack_from("<IH", control.data, 4)
        return str(number) if what & 0xF in _CAPTION_NUMBERS else ""
    if _kind(control) == _EQUATION_CONTROL:
        return "".join(_script(one.data) for one in control.inner if one.tag == _EQUATION)
    return ""


def _script(data: bytes) -> str:
    (length,) = struct.unpack_from("<H", data, 4)
    return data[6 : 6 + 2 * length].decode("utf-16-le", "replace")


def _behind(control: Record) -> str:
    """What a control says behind its paragraph."""
    kind = _kind(control)
    if kind == _TABLE_CONTROL:
        return _table(control)
    if kind in _NOTES:
        (number,) = struct.unpack_from("<I", control.data, 4)
        return f"[{number}] {_blocks_of(control.inner).strip()}"
    return _box(control) if kind in _BOXES else ""


def _box(record: Record) -> str:
    """The paragraphs of a box and of the shapes within it."""
    shapes = [_box(one) for one in record.inner if one.tag == _SHAPE]
    return "\n".join(filter(None, [_blocks_of(record.inner), *shapes]))


def _table(control: Record) -> str:
    """A table's caption and its rows."""
    begins = next((at for at, one in enumerate(control.inner) if one.tag == _TABLE), 0)
    cells: list[tuple[Record, list[Record]]] = []
    for one in control.inner[begins:]:
        if one.tag == _LIST:
            cells.append((one, []))
        elif cells:
            cells[-1][1].append(one)
    table = cells_text([_cell(place.data, inner) for place, inner in cells])
    return "\n".join(filter(None, [_blocks_of(control.inner[:begins]), table and f"\n{table}\n"]))


def _cell(place: bytes, inner: Sequence[Record]) -> Cell:
    column, row, width, height = struct.unpack_from("<4H", place, 8)
    return Cell(row, column, " ".join(_blocks_of(inner).split()), height, width)
