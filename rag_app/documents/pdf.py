"""PDF: parsed in a child process, pages tidied and joined, each page's beginning on record."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from rag_app.documents.content import Content
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise

TIMEOUT_S = 300
# -P: a json.py in the folder that the user works in must not be imported in place of Python's.
WORKER = (sys.executable, "-P", "-m", "rag_app.documents.pdf_worker")

_PAGE_BREAK = "\n\n"
_TAIL_BYTES = 4096
_SOFT_HYPHEN = re.compile("\u00ad[ \t]*\r?\n[ \t]*")
_HYPHENATED = re.compile(r"(?P<head>[^\W\d_][\w-]*)[-‐]\n(?P<tail>[a-zß-ÿ]\w*)")
_BLANKS = re.compile(" {2,}")
_WORD = re.compile(r"\w+(?:-\w+)*")
_REPAIR = "repair it: qpdf OLD.pdf NEW.pdf"
_OCR = "make one: ocrmypdf --force-ocr OLD.pdf NEW.pdf"
# Private use and replacement characters: glyphs whose font does not say what they mean.
_UNKNOWN_GLYPH = re.compile("[\ue000-\uf8ff\ufffd]")
_MOST_UNKNOWN = 0.3


def read_pdf(source: Source) -> list[Content]:
    """Read a PDF as one document.

    Raises:
        DocumentError: it is cut short, encrypted, broken, too slow, or holds pictures of text.
    """
    data = source.read_bytes()
    _refuse_fragment(data)
    parsed = run_worker(WORKER, data, timeout_s=TIMEOUT_S)
    if parsed.get("encrypted"):
        raise DocumentError("needs a password; save it without: qpdf --decrypt OLD.pdf NEW.pdf")
    text, page_starts = join_pages(parsed["pages"])
    _refuse_pictures(text, n_pages=len(page_starts))
    return [Content(text, kind="pdf", dates=parsed["dates"], page_starts=page_starts)]


def run_worker(command: Sequence[str], data: bytes, *, timeout_s: float) -> dict[str, Any]:
    """Parse a PDF's bytes in a process of its own; what it returns is in pdf_worker.py.

    Raises:
        DocumentError: the process failed, crashed, or took longer than `timeout_s` seconds.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.run(
            [*command, str(max(1, round(timeout_s)))],
            input=data,
            capture_output=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DocumentError(f"took longer than {timeout_s:g} s to parse; {_REPAIR}") from None
    if child.returncode < 0:
        raise DocumentError(f"crashed the PDF parser (signal {-child.returncode}); {_REPAIR}")
    if child.returncode > 0:
        lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DocumentError(f"cannot be parsed ({lines[-1] if lines else 'no reason'}); {_REPAIR}")
    parsed: dict[str, Any] = json.loads(child.stdout)
    return parsed


def join_pages(pages: Sequence[str]) -> tuple[str, list[int]]:
    """Tidy pages and join them.

    Returns:
        The text, and for each page the character offset at which it begins; a page without
        text begins where the text before it ends.
    """
    lined = [_tidy_lines(page) for page in pages]
    known = frozenset(_WORD.findall(_HYPHENATED.sub(" ", "\n".join(lined)).lower()))
    text = ""
    starts = []
    for page in lined:
        page_text = normalise(_join_words(page, known=known))
        text += _PAGE_BREAK if text and page_text else ""
        starts.append(len(text))
        text += page_text
    return text, starts


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


def _refuse_pictures(text: str, *, n_pages: int) -> None:
    if not text:
        raise DocumentError(f"has no text layer on its {n_pages} pages (scanned?); {_OCR}")
    if len(_UNKNOWN_GLYPH.findall(text)) > _MOST_UNKNOWN * len(text):
        raise DocumentError(f"has a text layer whose letters cannot be told; {_OCR}")
