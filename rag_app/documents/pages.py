"""Pages, slides and the like, joined into one text that remembers where each begins."""

from collections.abc import Iterable

from rag_app.text.normalise import normalise

_PAGE_BREAK = "\n\n"


def joined_pages(pages: Iterable[str]) -> tuple[str, list[int]]:
    """Join pages.

    Returns:
        The text, and for each page the character offset at which it begins; a page without
        text begins where the text before it ends.

    >>> joined_pages(["one", "", "two"])
    ('one\\n\\ntwo', [0, 3, 5])
    """
    text = ""
    starts = []
    for page in map(normalise, pages):
        text += _PAGE_BREAK if text and page else ""
        starts.append(len(text))
        text += page
    return text, starts
