"""Where a passage's source is opened: a file URI, with the page of a PDF."""

from pathlib import Path


def source_uri(path: str, page: int | None = None) -> str:
    """The URI of a file, at a page where it is a PDF (RFC 8118); empty without an absolute path.

    Arguments:
        page: counted from 1.

    >>> source_uri("/docs/Lease 2024.pdf", 12)
    'file:///docs/Lease%202024.pdf#page=12'
    >>> source_uri("/docs/slides.pptx", 3), source_uri("")
    ('file:///docs/slides.pptx', '')
    """
    file = Path(path)
    if not file.is_absolute():
        return ""
    return file.as_uri() + page_anchor(path, page)


def page_anchor(path: str, page: int | None) -> str:
    """ "#page=12" of a PDF; else nothing."""
    return f"#page={page}" if page and path.lower().endswith(".pdf") else ""
