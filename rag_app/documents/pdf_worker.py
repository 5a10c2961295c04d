"""The child process that parses one PDF: bytes on standard input, JSON on standard output.

    {"pages": [text of a page, ...], "dates": [creation, modification]}    or {"encrypted": true}

What goes wrong ends the process with a message or a traceback, whose last line the parent reports;
a file that crashes the parser, hangs it or eats memory takes this process with it and no other.
"""

import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

_MAX_MEMORY_BYTES = 4 * 1024**3
# PDFium writes this for a hyphen at a line's end together with the line end.
_HYPHEN_AT_LINE_END = "\ufffe"
_SPACE = re.compile(r" *\r\n *| +")
# In heights of a line. Blanks of justified prose reach .6 (99 of 100), gaps of tables begin at 1.
_LEAST_GAP = 0.8


def main() -> None:
    """Parse standard input; the argument is the CPU time it may take, in seconds."""
    from pypdfium2 import PdfiumError

    _limit(int(sys.argv[1]))
    try:
        json.dump(parse(sys.stdin.buffer.read()), sys.stdout)
    except PdfiumError as error:
        sys.exit(str(error))


def parse(data: bytes) -> dict[str, Any]:
    """Take the text of every page and the dates of the file."""
    from pypdfium2 import PdfDocument, PdfiumError, raw

    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            return {"encrypted": True}
        raise
    dates = (document.get_metadata_value(key) for key in ("CreationDate", "ModDate"))
    pages = [_page_text(document, index) for index in range(len(document))]
    return {"pages": pages, "dates": [date for date in dates if date]}


def _page_text(document: "PdfDocument", index: int) -> str:
    from pypdfium2 import PdfiumError

    try:
        return page_text(document[index])
    except PdfiumError as error:
        raise PdfiumError(f"page {index + 1}: {error}") from None


def page_text(page: "PdfPage") -> str:
    """Take a page's text in the file's order, cells of a row parted by tabs."""
    # PDFium orders the lines of a page that is turned by its sides; the text knows its own.
    page.set_rotation(0)
    textpage = page.get_textpage()
    text: str = textpage.get_text_range()
    # PDFium counts UTF-16 units: behind a character that takes two, places would be wrong.
    if max(text, default="") <= "\uffff":
        text = _SPACE.sub(lambda match: _space(textpage, match), text)
    return text.replace("\r\n", "\n").replace(_HYPHEN_AT_LINE_END, "-\n")


def _space(textpage: "PdfTextPage", match: re.Match[str]) -> str:
    """Tell by the letters beside a space what it is.

    Returns:
        A line end, a blank, or a tab between the cells of a row.
    """
    before, after = _box(textpage, match.start() - 1), _box(textpage, match.end())
    if before is None or after is None:
        return match[0]
    ends_line = "\n" in match[0]
    height = max(before.top - before.bottom, after.top - after.bottom)
    apart = abs(before.top + before.bottom - after.top - after.bottom) >= height
    gap = after.left - before.right
    if gap > max(_LEAST_GAP * height, 1.5 * _own_width(textpage, match.start())):
        return "\n" if ends_line and apart else "\t"
    # PDFium misses some line ends, and sees one behind raised type, as a footnote's mark is. In
    # text turned by a quarter letters stand above each other.
    left = after.right <= before.left
    return "\n" if (apart and (ends_line or left)) or (ends_line and gap < -height) else " "


def _own_width(textpage: "PdfTextPage", at: int) -> float:
    """The width of a blank in the file; 0 of one that PDFium puts between distant letters."""
    from pypdfium2 import raw

    place = raw.FPDFText_GetCharIndexFromTextIndex(textpage, at)
    box = None if raw.FPDFText_IsGenerated(textpage, place) else _box(textpage, at)
    return 0.0 if box is None else float(box.right - box.left)


def _box(textpage: "PdfTextPage", at: int) -> Any:
    """The bounds of the character at a place in the text; None where it has none."""
    from pypdfium2 import raw

    place = raw.FPDFText_GetCharIndexFromTextIndex(textpage, at)
    box = raw.FS_RECTF()
    known = raw.FPDFText_GetLooseCharBox(textpage, place, box)
    return box if known and box.top > box.bottom else None


def _limit(cpu_seconds: int) -> None:
    """Bound memory and, should the parent be killed and not wait any more, time."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))


if __name__ == "__main__":
    main()
