"""Hangul documents (.hwpx): paragraphs, tables, notes; KS X 6101, a ZIP of XML."""

import re
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rag_app.documents.archive import local, opened, xml_of
from rag_app.documents.content import Content
from rag_app.documents.hwpx_looks import looks_of, mark_runs
from rag_app.documents.left_out import counted
from rag_app.documents.rows import Cell, cells_text
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise

_SECTION = re.compile(r"Contents/section(\d+)\.xml")
# Elements of a run whose paragraphs stand elsewhere on the page.
_NOTES = ("footNote", "endNote")
_BOXES = ("drawText", "header", "footer", "caption")
_HIDDEN = "hiddenComment"
# Of automatic numbers, those that captions show.
_CAPTION_NUMBERS = ("PICTURE", "TABLE", "EQUATION")
_BUTTONS = {"CHECKED": "☑", "UNCHECKED": "☐", "INDETERMINATE": "☐"}


def read_hwpx(source: Source) -> list[Content]:
    """Read a Hangul document as one document.

    Raises:
        DocumentError: it is none, is locked, or has no text.
    """
    with opened(source, what="an .hwpx document") as archive:
        sections = [xml_of(archive, member) for member in _sections(archive)]
        looks = looks_of(archive)
        about = _about(archive)
    struck = sum(mark_runs(section, looks) for section in sections)
    text = normalise("\n\n".join(_blocks_of(section) for section in sections))
    if not text:
        raise DocumentError("holds no text; it may be locked, or pictures of pages")
    every = [one for section in sections for one in section.iter()]
    memos = [one for one in every if local(one) == "fieldBegin" and one.get("type") == "MEMO"]
    comments = len(memos) + sum(local(one) == _HIDDEN for one in every)
    left = {
        "pictures": sum(local(one) == "pic" for one in every),
        "objects of other programs": sum(local(one) == "ole" for one in every),
        "comments": comments,
        "passages struck out": struck,
    }
    return [
        Content(
            text,
            kind="hwpx",
            title=about.get("title"),
            fields={key: about[key] for key in ("creator",) if about.get(key)},
            dates=[about[key] for key in ("CreatedDate", "ModifiedDate") if about.get(key)],
            left_out=counted(left),
        )
    ]


def _sections(archive: zipfile.ZipFile) -> list[str]:
    found = {
        int(match[1]): match[0] for match in map(_SECTION.fullmatch, archive.namelist()) if match
    }
    return [found[number] for number in sorted(found)]


def _about(archive: zipfile.ZipFile) -> dict[str, str]:
    """What the package says of itself."""
    if "Contents/content.hpf" not in archive.namelist():
        return {}
    found = {}
    for element in xml_of(archive, "Contents/content.hpf").iter():
        if local(element) in ("title", "meta") and element.text:
            found[element.get("name", local(element))] = element.text.strip()
    return found


def _blocks_of(holder: Element) -> str:
    """The paragraphs of a section, a cell or a note, one a line."""
    return "\n".join(block for one in holder if local(one) == "p" for block in _blocks(one))


def _blocks(paragraph: Element) -> Iterator[str]:
    """The lines of a paragraph; tables and notes follow it."""
    line: list[str] = []
    behind: list[str] = []
    for element in (one for run in paragraph if local(run) == "run" for one in run):
        if local(element) == "t":
            line += _letters(element)
        elif local(element) == "tbl":
            behind += [*_elsewhere(element), f"\n{_table(element)}\n"]
        elif local(element) == "equation":
            line += [one.text or "" for one in element if local(one) == "script"]
            behind += _elsewhere(element)
        else:
            line += _in_line(element)
            behind += _elsewhere(element)
    yield "".join(line)
    yield from filter(None, behind)


def _letters(text: Element) -> Iterator[str]:
    yield text.text or ""
    for mark in text:
        yield {"tab": "\t", "lineBreak": "\n", "nbSpace": " ", "fwSpace": " "}.get(local(mark), "")
        yield mark.tail or ""


def _in_line(element: Element) -> Iterator[str]:
    """What a control says within its line: the number in a caption, a field of a form."""
    name = local(element)
    if name == "ctrl":
        numbers = (one for one in element if local(one) == "autoNum")
        yield from (one.get("num", "") for one in numbers if one.get("numType") in _CAPTION_NUMBERS)
    elif name == "edit":
        yield from (one.text or "" for one in element if local(one) == "text")
    elif name in ("checkBtn", "radioBtn"):
        yield f"{_BUTTONS.get(element.get('value', ''), '☐')} {element.get('caption', '')} "
    elif name in ("comboBox", "listBox"):
        chosen = element.get("selectedValue", "")
        items = {one.get("value"): one.get("displayText") for one in element}
        yield items.get(chosen) or chosen


def _elsewhere(element: Element) -> Iterator[str]:
    """Paragraphs of notes, captions and boxes of text, and what stands behind these."""
    for inner in element:
        if local(inner) in (*_NOTES, *_BOXES):
            text = "\n".join(_blocks_of(one) for one in inner if local(one) == "subList")
            yield f"[{inner.get('number', '*')}] {text}" if local(inner) in _NOTES else text
        elif local(inner) not in ("subList", _HIDDEN):
            yield from _elsewhere(inner)


def _table(table: Element) -> str:
    """Rows as lines of cells with bars, a rule under the first; what spans rows is in each."""
    cells: list[Cell] = []
    for row in (one for one in table if local(one) == "tr"):
        for cell in (one for one in row if local(one) == "tc"):
            text = " ".join(
                " ".join(_blocks_of(one).split()) for one in cell if local(one) == "subList"
            )
            place = {local(one): one for one in cell}
            column, line = _numbers(place.get("cellAddr"), "colAddr", "rowAddr", default=0)
            width, height = _numbers(place.get("cellSpan"), "colSpan", "rowSpan", default=1)
            cells.append(Cell(line, column, text, height, width))
    return cells_text(cells)


def _numbers(element: Element | None, *names: str, default: int) -> tuple[int, ...]:
    texts = ["" if element is None else element.get(name, "") for name in names]
    return tuple(int(text) if text.isdecimal() else default for text in texts)
