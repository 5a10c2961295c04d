"""PDF: pages tidied and joined, each page's beginning on record."""

import re
from collections.abc import Sequence

from rag_app.documents.content import Content
from rag_app.documents.left_out import LeftOut, left_out, named
from rag_app.documents.pages import joined_pages
from rag_app.documents.pdf_pages import ParsedPdf, is_unreadable, parse
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise

_TAIL_BYTES = 4096
_SOFT_HYPHEN = re.compile("\u00ad[ \t]*\r?\n[ \t]*")
_HYPHENATED = re.compile(r"(?P<head>[^\W\d_][\w-]*)[-‐]\n(?P<tail>[a-zß-ÿ]\w*)")
_BLANKS = re.compile(" {2,}")
_WORD = re.compile(r"\w+(?:-\w+)*")
_REPAIR = "repair it: qpdf OLD.pdf NEW.pdf"
_OCR = "`--ocr kor+eng` reads the pages, or make one: ocrmypdf --force-ocr OLD.pdf NEW.pdf"


def read_pdf(source: Source) -> list[Content]:
    """Read a PDF as one document.

    Raises:
        DocumentError: it is cut short, encrypted, broken, or holds pictures of text.
    """
    data = source.read_bytes()
    _refuse_fragment(data)
    parsed = _parsed(data, source.ocr)
    text, page_starts = join_pages(parsed.pages)
    _refuse_pictures(text, n_pages=len(page_starts), ocr=source.ocr)
    return [
        Content(
            text,
            kind="pdf",
            # Whoever reads the file again, as `sweep` does, must read it the same way.
            fields={"ocr": source.ocr} if parsed.by_ocr else {},
            dates=parsed.dates,
            page_starts=page_starts,
            left_out=_left_out(parsed, source.ocr),
            by_ocr=parsed.by_ocr,
        )
    ]


def _parsed(data: bytes, ocr: str | None) -> ParsedPdf:
    from pypdfium2 import PdfiumError

    try:
        parsed = parse(data, ocr=ocr)
    except PdfiumError as error:
        raise DocumentError(f"cannot be parsed ({error}); {_REPAIR}") from None
    if parsed is None:
        raise DocumentError("needs a password; save it without: qpdf --decrypt OLD.pdf NEW.pdf")
    return parsed


def _left_out(parsed: ParsedPdf, ocr: str | None) -> list[LeftOut]:
    hint = "in which OCR read none" if ocr else "perhaps scanned: --ocr reads them"
    pictures = left_out(f"pages without text, {hint}", "page", parsed.pictures)
    names = parsed.attachments
    return pictures + ([LeftOut("files attached", len(names), named(names))] if names else [])


def join_pages(pages: Sequence[str]) -> tuple[str, list[int]]:
    """Tidy pages and join them.

    Returns:
        The text, and where each page begins.
    """
    lined = [_tidy_lines(page) for page in pages]
    known = frozenset(_WORD.findall(_HYPHENATED.sub(" ", "\n".join(lined)).lower()))
    return joined_pages(_join_words(page, known=known) for page in lined)


def _tidy_lines(page: str) -> str:
    """Take off indents and narrow runs of blanks: to two where they part columns, else to one."""
    text = normalise(_SOFT_HYPHEN.sub("", page)).replace("\t", "   ")
    lines = (
        _BLANKS.sub(lambda run: " " * min(2, len(run[0]) - 1), line.strip())
        for line in text.split("\n")
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _join_words(page: str, *, known: frozenset[str]) -> str:
    """Join words that were parted at a line's end; the hyphen stays in what looks a compound.

    Arguments:
        known: the file's other words, lower-case: a joined form, a hyphened one, or both halves
            among them tell which it is.
    """

    def join(match: re.Match[str]) -> str:
        head, tail = match["head"], match["tail"]
        joined, hyphened = f"{head}{tail}", f"{head}-{tail}"
        if joined.lower() in known:
            return joined
        compound = "-" in head or hyphened.lower() in known or {head.lower(), tail.lower()} <= known
        return hyphened if compound else joined

    return _HYPHENATED.sub(join, page)


def _refuse_fragment(data: bytes) -> None:
    if not data.strip():
        raise DocumentError("is empty; write text into it or remove it")
    if b"%PDF-" not in data[:1024]:
        raise DocumentError("is not a PDF, whatever its name says; name it for what it is")
    # A parser falls back on the older version that a file may hold, and would not say so.
    if b"%%EOF" not in data[-_TAIL_BYTES:]:
        raise DocumentError(
            f"does not end as a PDF does, part of it is missing; fetch it again or {_REPAIR}"
        )


def _refuse_pictures(text: str, *, n_pages: int, ocr: str | None) -> None:
    pages = "only page" if n_pages == 1 else f"{n_pages} pages"
    if not text and ocr:
        raise DocumentError(
            f"has no text layer on its {pages}, and OCR ({ocr}) reads none; scan it anew, or name "
            "other languages with --ocr"
        )
    if not text:
        raise DocumentError(f"has no text layer on its {pages} (scanned?); {_OCR}")
    if is_unreadable(text):
        raise DocumentError(f"has a text layer whose letters cannot be told; {_OCR}")
