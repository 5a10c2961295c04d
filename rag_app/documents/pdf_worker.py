"""The child process that parses one PDF: bytes on standard input, JSON on standard output.

    {"pages": [text of a page, ...], "dates": [creation, modification]}    or {"encrypted": true}

What goes wrong ends the process with a traceback, whose last line the parent reports; a file
that crashes the parser, hangs it or eats memory takes this process with it and no other.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdf._page import PageObject

_MAX_MEMORY_BYTES = 4 * 1024**3
# A line that starts with a blank where the one before ended in a letter: pypdf's plain mode
# took a step along the line for a line end, and missed the line end itself.
_TORN = re.compile(r"\w\n \w")
_TORN_SHARE = 0.02
_LEAST_KEPT = 0.95


def main() -> None:
    """Parse standard input; the argument is the CPU time it may take, in seconds."""
    from pypdf import PdfReader

    _limit(int(sys.argv[1]))
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    json.dump(parse(PdfReader(BytesIO(sys.stdin.buffer.read()))), sys.stdout)


def parse(reader: "PdfReader") -> dict[str, Any]:
    """Take the text of every page and the dates of the file."""
    if reader.is_encrypted and not reader.decrypt(""):
        return {"encrypted": True}
    information: Mapping[str, Any] = reader.metadata or {}
    dates = [str(information[key]) for key in ("/CreationDate", "/ModDate") if key in information]
    return {"pages": page_texts(list(reader.pages)), "dates": dates}


def page_texts(pages: "list[PageObject]") -> list[str]:
    """Take the text of pages as the file orders it, or where that tears words, as it lies.

    The first keeps columns apart, so it is the rule; files whose generator places words one by
    one (SEC filings) come out of it with words torn and joined, and whole out of the second.
    """
    texts = [_plain(page, number) for number, page in enumerate(pages, 1)]
    lines = sum(text.count("\n") for text in texts)
    torn = sum(len(_TORN.findall(text)) for text in texts)
    if torn <= _TORN_SHARE * lines:
        return texts
    return [_laid_out(page, text) for page, text in zip(pages, texts, strict=True)]


def _plain(page: "PageObject", number: int) -> str:
    try:
        return page.extract_text()
    except Exception as error:
        raise RuntimeError(f"page {number}: {type(error).__name__}: {error}") from error


def _laid_out(page: "PageObject", plain: str) -> str:
    """Take a page's text by where it lies, unless that fails or loses some (form objects)."""
    try:
        text = page.extract_text(extraction_mode="layout")
    except Exception:  # noqa: BLE001 - pypdf raises whatever a font holds; the plain text stands
        return plain
    return text if _letters(text) >= _LEAST_KEPT * _letters(plain) else plain


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _limit(cpu_seconds: int) -> None:
    """Bound memory and, should the parent be killed and not wait any more, time."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))


if __name__ == "__main__":
    main()
