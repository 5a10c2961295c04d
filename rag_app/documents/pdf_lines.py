"""The text of a PDF's page in lines, cells of a row parted by tabs."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from ctypes import byref, c_float
from typing import TYPE_CHECKING, Any, NamedTuple

from rag_app.documents.pdf_columns import Line, Part, column_by_column
from rag_app.documents.pdf_torn import mark_torn

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage

# PDFium writes this for a hyphen at a line's end together with the line end.
_HYPHEN_AT_LINE_END = "\ufffe"
_SPACE = re.compile(rf"(?: *\r\n)+ *| +|{_HYPHEN_AT_LINE_END}")
# In heights of a line. Blanks of justified prose reach .6 (99 of 100), gaps of tables begin at 1.
_LEAST_GAP = 0.8
# Letters that are asked how they are turned.
_ASKED = 50
# In points. PDFium takes what is narrower for nothing.
_LEAST_WIDTH = 0.01


class _Box(NamedTuple):
    """Where a letter is, on a page turned so that its text is upright."""

    left: float
    bottom: float
    right: float
    top: float


def page_text(page: "PdfPage") -> str:
    """Take a page's text in the file's order, cells of a row parted by tabs."""
    from pypdfium2 import raw

    flat = list(_flat_texts(page))
    modes = [raw.FPDFTextObj_GetTextRenderMode(text) for text in flat]
    for text in flat:
        _widen(text)
    lines = _Lines.of(page)
    # A page that OCR reads is drawn as it is.
    for text, mode in zip(flat, modes, strict=True):
        raw.FPDFTextObj_SetTextRenderMode(text, mode)
    return lines.text()


def _flat_texts(page: "PdfPage") -> Iterator[Any]:
    """Yield texts without an extent, which PDFium leaves out.

    Such is a letter that stands by itself, or text on its side, where neither the file nor the
    machine has a font that draws it: Korean on most servers.
    """
    from pypdfium2 import raw

    edges = [c_float() for _ in range(4)]
    left, bottom, right, top = edges
    places = [byref(edge) for edge in edges]

    def below(count: Callable[[Any], int], child: Callable[[Any, int], Any], parent: Any) -> Any:
        for number in range(count(parent)):
            item = child(parent, number)
            kind = raw.FPDFPageObj_GetType(item)
            if kind == raw.FPDF_PAGEOBJ_FORM:
                yield from below(raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject, item)
            elif kind == raw.FPDF_PAGEOBJ_TEXT and raw.FPDFPageObj_GetBounds(item, *places):
                extent = min(right.value - left.value, top.value - bottom.value)
                if extent < _LEAST_WIDTH:
                    yield item

    yield from below(raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject, page)


def _widen(text: Any) -> None:
    """Give a text the extent of an outline; PDFium works it out anew when the text is moved."""
    from pypdfium2 import raw

    size, matrix = c_float(), raw.FS_MATRIX()
    raw.FPDFTextObj_GetFontSize(text, byref(size))
    raw.FPDFPageObj_GetMatrix(text, matrix)
    # As high as a small letter: of lines that are too low PDFium misses the end.
    raw.FPDFPageObj_SetStrokeWidth(text, 0.5 * size.value * math.hypot(matrix.c, matrix.d))
    raw.FPDFTextObj_SetTextRenderMode(text, raw.FPDF_TEXTRENDERMODE_FILL_STROKE)
    raw.FPDFPageObj_Transform(text, 1, 0, 0, 1, 0, 0)


class _Lines(NamedTuple):
    """What PDFium reads of a page, and the quarters by which the page is turned for it."""

    textpage: "PdfTextPage"
    quarters: int

    @classmethod
    def of(cls, page: "PdfPage") -> "_Lines":
        """Read a page, turned so that its text is upright: PDFium orders lines as they are seen."""
        textpage = page.get_textpage()
        quarters = _quarters(textpage)
        if page.get_rotation() != 90 * quarters:
            page.set_rotation(90 * quarters)
            textpage = page.get_textpage()
        return cls(textpage, quarters)

    def text(self) -> str:
        """All of it, the first of two columns before the second."""
        text: str = self.textpage.get_text_range()
        # PDFium counts UTF-16 units: behind a character that takes two, places would be wrong.
        if max(text, default="") > "\uffff":
            return text.replace("\r\n", "\n").replace(_HYPHEN_AT_LINE_END, "-\n")
        lines = column_by_column(self._lines(text), self._edges)

        def has_blank(part: Part) -> bool:
            return text.startswith(" ", part.end) and self._own_width(part.end) > 0

        lines = mark_torn(lines, self._edges, has_blank)
        return "\n".join("\t".join(part.text for part in line) for line in lines)

    def _lines(self, text: str) -> list[Line]:
        """Part a text at its line ends and at the gaps between cells."""
        lines: list[Line] = [[]]
        kept, start, behind = "", 0, 0
        for match in _SPACE.finditer(text):
            kept += text[behind : match.start()]
            behind = match.end()
            space = "-\n" if match[0] == _HYPHEN_AT_LINE_END else self._space(match)
            if space != "\t" and "\n" not in space:
                kept += space
                continue
            lines[-1].append(Part(kept + space.strip(), start, match.start()))
            kept, start = "", behind
            if "\n" in space:
                lines.append([])
        lines[-1].append(Part(kept + text[behind:], start, len(text)))
        return lines

    def _edges(self, part: Part) -> tuple[float, float]:
        """Left and right edge of a part of a line."""
        boxes = filter(None, map(self._box, (part.start, part.end - 1)))
        places = [place for box in boxes for place in (box.left, box.right)]
        return min(places, default=0.0), max(places, default=0.0)

    def _space(self, match: re.Match[str]) -> str:
        """Tell by the letters beside a space what it is.

        Returns:
            A line end, a blank, or a tab between the cells of a row.
        """
        before, after = self._box(match.start() - 1), self._box(match.end())
        if before is None or after is None:
            return match[0]
        ends_line = "\n" in match[0]
        height = max(before.top - before.bottom, after.top - after.bottom)
        apart = abs(before.top + before.bottom - after.top - after.bottom) >= height
        gap = after.left - before.right
        if gap > max(_LEAST_GAP * height, 1.5 * self._own_width(match.start())):
            return "\n" if ends_line and apart else "\t"
        # PDFium misses some line ends, and sees one behind raised type, as a footnote's mark is.
        # In text on its side letters stand above each other.
        left = after.right <= before.left
        return "\n" if (apart and (ends_line or left)) or (ends_line and gap < -height) else " "

    def _own_width(self, at: int) -> float:
        """The width of a blank in the file; 0 of one that PDFium puts between distant letters."""
        from pypdfium2 import raw

        place = raw.FPDFText_GetCharIndexFromTextIndex(self.textpage, at)
        box = None if raw.FPDFText_IsGenerated(self.textpage, place) else self._box(at)
        return 0.0 if box is None else box.right - box.left

    def _box(self, at: int) -> _Box | None:
        """The bounds of the character at a place in the text; None where it has none."""
        from pypdfium2 import raw

        place = raw.FPDFText_GetCharIndexFromTextIndex(self.textpage, at)
        box = raw.FS_RECTF()
        known = raw.FPDFText_GetLooseCharBox(self.textpage, place, box)
        if not known or box.top <= box.bottom:
            return None
        left, bottom, right, top = box.left, box.bottom, box.right, box.top
        for _ in range(self.quarters):
            left, bottom, right, top = bottom, -right, top, -left
        return _Box(left, bottom, right, top)


def _quarters(textpage: "PdfTextPage") -> int:
    """By how many quarters a page is turned to the right to make most of its text upright."""
    from pypdfium2 import raw

    count = textpage.count_chars()
    asked = range(0, count, max(1, count // _ASKED))
    angles = (raw.FPDFText_GetCharAngle(textpage, place) for place in asked)
    turns = Counter(round(-angle / (math.pi / 2)) % 4 for angle in angles if angle >= 0)
    return turns.most_common(1)[0][0] if turns else 0
