"""The sheets of an .xlsx workbook as lines of text cells.

openpyxl makes up every cell before the last one of a row and every row before the last one, says
nothing of a formula without a saved value, and gives values without their formats; so the XML of
the sheets is read here.
"""

import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, iterparse

from rag_app.documents.archive import local
from rag_app.documents.cell_formats import formatted
from rag_app.documents.runs import Run, runs_text
from rag_app.errors import DocumentError

MAX_SHEET_ROWS = 1_048_576  # what Excel itself holds
MAX_SHEET_COLUMNS = 16_384
MAX_CELLS = 2_000_000

_RELATIONS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SHAPES = {"sp": "shapes with text", "graphicFrame": "charts", "pic": "pictures"}
# Kinds of relations to parts of other programs' files.
_EMBEDDED = ("/oleObject", "/package")
_HEIGHTS = {"superscript": 1, "subscript": -1}
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


@dataclass(frozen=True)
class Sheet:
    """One sheet.

    Fields:
        rows: number from 1 -> column from 1 -> the cell as it is shown; only what is not empty.
        unsaved: rows with a formula whose value was not saved.
        comments: of its cells.
        struck: rows of cells of which a part, or all, is struck out.
        drawn: what lies over its cells: kind, in the plural, -> how many.
    """

    name: str
    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    unsaved: list[int] = field(default_factory=list)
    comments: int = 0
    struck: list[int] = field(default_factory=list)
    drawn: Mapping[str, int] = field(default_factory=dict)


def read_sheets(archive: zipfile.ZipFile) -> list[Sheet]:
    """Read the sheets of a workbook.

    Raises:
        DocumentError: it has too many rows or cells.
        Exception: whatever ZIP and XML make of what is none.
    """
    book = _Workbook(archive)
    return [book.sheet(name, path) for name, path in book.sheet_paths()]


class _Workbook:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = set(archive.namelist())
        self._relations = self._related("xl/workbook.xml")
        self._strings: list[str] = []
        # The strings that have runs: whether any is struck out.
        self._struck: dict[str, bool] = {}
        for number, item in enumerate(self._elements("xl/sharedStrings.xml", "si")):
            self._strings.append(_text(item))
            if (struck := _has_struck_run(item)) is not None:
                self._struck[str(number)] = struck
        self._formats = self._cell_formats()
        self._struck_cells = self._struck_styles()
        properties = next(self._elements("xl/workbook.xml", "workbookPr"), None)
        self._from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        self._cells = 0

    def sheet_paths(self) -> list[tuple[str, str]]:
        """Names and members of the sheets, in their order; charts have no cells."""
        found = []
        for sheet in self._elements("xl/workbook.xml", "sheet"):
            kind, path = self._relations.get(sheet.get(f"{_RELATIONS}id", ""), ("", ""))
            if kind.endswith("/worksheet"):
                found.append((sheet.get("name", ""), path))
        return found

    def sheet(self, name: str, path: str) -> Sheet:
        """Read one sheet."""
        sheet = Sheet(name, comments=self._comments(path), drawn=self._drawn(path))
        number = 0
        for element in self._elements(path, "row", "mergeCell"):
            if local(element) == "mergeCell":
                _fill_merged(sheet, element.get("ref", ""))
                continue
            number = int(element.get("r") or number + 1)
            if number > MAX_SHEET_ROWS:
                raise DocumentError(
                    f"has over {MAX_SHEET_ROWS:,} rows; split it into smaller files"
                )
            self._row(sheet, number, element)
        return sheet

    def _row(self, sheet: Sheet, number: int, row: Element) -> None:
        cells: dict[int, str] = {}
        column = 0
        for cell in row:
            column = _column(cell.get("r"), column + 1)
            text = self._cell(cell)
            struck = self._has_struck_run(cell)
            # Runs have looks of their own.
            is_out = struck is None and int(cell.get("s", 0)) in self._struck_cells
            if text is not None and (struck or (text and is_out)):
                sheet.struck.append(number)
            if text is None:
                sheet.unsaved.append(number)
            elif text and not is_out:
                cells[column] = text
        self._cells += len(cells)
        if self._cells > MAX_CELLS:
            raise DocumentError(f"has over {MAX_CELLS:,} cells; split it into smaller files")
        if cells:
            sheet.rows[number] = cells

    def _cell(self, cell: Element) -> str | None:
        """A cell as it is shown; None of a formula without a saved value."""
        kind = cell.get("t", "n")
        parts = {local(part): part for part in cell}
        if kind == "inlineStr":
            return _text(parts["is"]) if "is" in parts else ""
        value = parts["v"].text if "v" in parts else None
        if value is None:
            return None if "f" in parts and kind != "str" else ""
        if kind == "s":
            return self._strings[int(value)]
        if kind == "b":
            return "True" if value == "1" else "False"
        if kind != "n":
            return value
        style = int(cell.get("s", 0))
        code = self._formats[style] if style < len(self._formats) else "General"
        return formatted(value, code, from_1904=self._from_1904)

    def _struck_styles(self) -> set[int]:
        """The styles of cells that strike out all of their text."""
        fonts: list[bool] = []
        struck: set[int] = set()
        for one in self._elements("xl/styles.xml", "fonts", "cellXfs"):
            if local(one) == "fonts":
                fonts = [_strikes(font) for font in one]
                continue
            numbers = [int(style.get("fontId", 0)) for style in one]
            struck = {at for at, font in enumerate(numbers) if font < len(fonts) and fonts[font]}
        return struck

    def _has_struck_run(self, cell: Element) -> bool | None:
        """Whether a run of a cell's text is struck out; None of a text that has no runs."""
        for part in cell:
            if local(part) == "is":
                return _has_struck_run(part)
            if local(part) == "v" and cell.get("t") == "s":
                return self._struck.get(part.text or "")
        return None

    def _cell_formats(self) -> list[str]:
        """The format of each style that a cell may name."""
        from openpyxl.styles.numbers import BUILTIN_FORMATS

        own: dict[int, str] = dict(BUILTIN_FORMATS)
        formats: list[str] = []
        for one in self._elements("xl/styles.xml", "numFmt", "cellXfs"):
            if local(one) == "numFmt":
                own[int(one.get("numFmtId", 0))] = one.get("formatCode", "General")
            else:
                formats = [own.get(int(style.get("numFmtId", 0)), "General") for style in one]
        return formats

    def _comments(self, path: str) -> int:
        found = self._related(path).values()
        return sum(
            sum(1 for _ in self._elements(target, "comment"))
            for kind, target in found
            if kind.endswith("/comments")
        )

    def _drawn(self, path: str) -> Mapping[str, int]:
        """What lies over the cells of a sheet and says something."""
        related = self._related(path).values()
        drawings = [to for kind, to in related if kind.endswith("/drawing")]
        shapes = (one for to in drawings for one in self._elements(to, *_SHAPES))
        drawn = Counter(_SHAPES[local(one)] for one in shapes if _says_something(one))
        drawn["objects of other programs"] += sum(kind.endswith(_EMBEDDED) for kind, _ in related)
        return drawn

    def _related(self, path: str) -> Mapping[str, tuple[str, str]]:
        """Kind and member of what a member refers to, by id."""
        folder, name = posixpath.split(path)
        found = {}
        for relation in self._elements(f"{folder}/_rels/{name}.rels", "Relationship"):
            # A target that begins with a slash begins at the archive's root.
            target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target", "")))
            found[relation.get("Id", "")] = relation.get("Type", ""), target.lstrip("/")
        return found

    def _elements(self, path: str, *names: str) -> Iterator[Element]:
        """Elements of these names, each forgotten when the next is asked for."""
        if path not in self._names:
            return
        with self._archive.open(path) as file:
            # expat itself refuses entities that grow, and this process is bounded.
            events: Any = iterparse(file, events=("start", "end"))  # noqa: S314
            _, root = next(events)
            if local(root) in names:
                yield root
            for event, element in events:
                if event == "end" and local(element) in names and element is not root:
                    yield element
                    element.clear()
                    _forget(root)


def _forget(root: Element) -> None:
    """Empty what holds the elements that were read, or a million of them stay."""
    for holder in root:
        if len(holder) > 1 and local(holder) == "sheetData":
            del holder[:-1]
    if local(root) == "sst":
        root.clear()


def _says_something(shape: Element) -> bool:
    """Whether a shape is more than an arrow or a frame."""
    texts = (one.text or "" for one in shape.iter() if local(one) == "t")
    return local(shape) != "sp" or any(map(str.strip, texts))


def _text(element: Element) -> str:
    """The text of a string in its runs, less how it is pronounced."""
    return runs_text(_runs(element))


def _runs(element: Element) -> Iterator[Run]:
    for part in element:
        if local(part) == "t":
            yield Run(part.text or "")
        elif local(part) == "r":
            text = "".join(one.text or "" for one in part if local(one) == "t")
            about = [look for one in part if local(one) == "rPr" for look in one]
            named = (look.get("val", "") for look in about if local(look) == "vertAlign")
            yield Run(text, _HEIGHTS.get(next(named, ""), 0), _strikes(about))


def _strikes(looks: Iterable[Element]) -> bool:
    """Whether a font, or a run's looks, strike out what has them."""
    return any(local(one) == "strike" and one.get("val", "1") in ("1", "true") for one in looks)


def _has_struck_run(element: Element) -> bool | None:
    """Whether a run of a string is struck out; None of one that has no runs."""
    if not any(local(part) == "r" for part in element):
        return None
    return any(run.is_struck for run in _runs(element))


def _column(reference: str | None, following: int) -> int:
    if reference is None:
        return following
    match = _REFERENCE.fullmatch(reference)
    number = 0
    for letter in match[1] if match else "":
        number = number * 26 + ord(letter) - ord("A") + 1
    if not 1 <= number <= MAX_SHEET_COLUMNS:
        raise ValueError(f"there is no cell {reference!r}")
    return number


def _fill_merged(sheet: Sheet, reference: str) -> None:
    """Write a merged cell's text into every row that it spans; a reader sees it beside each."""
    first, _, last = reference.partition(":")
    begin, end = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last)
    if not begin or not end:
        return
    column, row = _column(first, 0), int(begin[2])
    text = sheet.rows.get(row, {}).get(column)
    for number in range(row + 1, int(end[2]) + 1) if text else ():
        # Only rows that have something of their own: a spacer may be merged to the sheet's end.
        if text and number in sheet.rows:
            sheet.rows[number].setdefault(column, text)
