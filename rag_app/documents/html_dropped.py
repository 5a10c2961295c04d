"""What of a page is no content: taken out of its tree, and counted where a reader sees it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rag_app.documents.html_inline import BOX_EDGE
from rag_app.documents.left_out import LeftOut, counted, named

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# What no page shows as text.
_UNSEEN = ("script", "style", "template", "datalist", "title")
# Around the main content they are the site's; within it they belong to it.
_AROUND = ("header", "footer", "aside")
_MAIN = ("main", "article", "section")
_LEAST_PROSE = 60
_PARAGRAPHS = ("p", "ul", "ol", "dl", "table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_FRAMES = ("iframe", "embed", "frame")
_RECORDINGS = ("video", "audio")


def drop_boilerplate(soup: "BeautifulSoup") -> list[LeftOut]:
    """Take out what is no content; of a list of choices, what is chosen stays.

    Returns:
        What of it a reader of the page sees.
    """
    for tag in soup.find_all(_UNSEEN):
        tag.extract()
    around = _drop_around(soup)
    counts = {
        "texts for browsers without scripts": _drop(soup, ("noscript",), _has_text),
        "drawings with text": _drop(soup, ("svg",), lambda tag: tag.find("text") is not None),
        "frames with another page": _drop(soup, _FRAMES, _is_seen),
        "recordings": _drop(soup, _RECORDINGS, _is_seen),
        "lists of choices, none of them chosen": _keep_chosen(soup),
        "pictures without a description": sum(map(_says_nothing, soup.find_all("img"))),
    }
    left = counted(counts)
    if around:
        kinds = named(dict.fromkeys(around))
        left.insert(0, LeftOut("parts around the main content", len(around), kinds))
    return left


def _drop(soup: "BeautifulSoup", names: tuple[str, ...], counts: "Callable[[Tag], bool]") -> int:
    """Take out these tags; returns how many of them count."""
    found = [tag for tag in soup.find_all(names) if tag.find_parent(names) is None]
    return sum(counts(tag.extract()) for tag in found)


def _has_text(tag: "Tag") -> bool:
    return bool(tag.get_text(strip=True))


def _is_seen(tag: "Tag") -> bool:
    """Whether it has a size; what counts visitors has none."""
    hidden = tag.has_attr("hidden") or "none" in str(tag.get("style", "")).lower()
    return not hidden and not {str(tag.get("width")), str(tag.get("height"))} & {"0", "1"}


def _keep_chosen(soup: "BeautifulSoup") -> int:
    """Write what is chosen in a form's lists; returns how many have nothing chosen."""
    unchosen = 0
    for select in soup.find_all("select"):
        options = select.find_all("option")
        chosen = [one.get_text(strip=True) for one in options if one.has_attr("selected")]
        unchosen += bool(options) and not chosen
        select.replace_with(BOX_EDGE + ", ".join(filter(None, chosen)) + BOX_EDGE)
    return unchosen


def _says_nothing(picture: "Tag") -> bool:
    """Whether a picture has no text that stands for it; an empty one says that it needs none.

    One word is a logo or an icon more often than a picture of something.
    """
    alt = str(picture.get("alt", "picture")).split()
    return len(alt) == 1 and _is_seen(picture) and picture.get("role") != "presentation"


def _drop_around(soup: "BeautifulSoup") -> list[str]:
    """Take out what stands around the main content; returns the tags of those with a text."""
    marked = soup.find(["main", "article"]) is not None
    menus = [tag for tag in soup.find_all("nav") if tag.find_parent(["main", "article"]) is None]
    # A header opens a page, or does not, by what it holds besides menus.
    dropped = [tag.extract() for tag in menus]
    dropped += [
        tag.extract()
        for tag in soup.find_all(_AROUND)
        if tag.find_parent(_MAIN) is None and not _opens_page(tag, marked=marked)
    ]
    return [tag.name for tag in dropped if _has_text(tag)]


def _opens_page(tag: "Tag", *, marked: bool) -> bool:
    """Whether a header is a title block or a preamble, not the site's banner; an aside, a note.

    Arguments:
        marked: the page says where its content is; then only a paragraph of some length tells.
    """
    if tag.name == "aside":
        return _is_note(tag) or (not marked and _belongs_to_text(tag))
    if tag.name != "header":
        return False
    if any(len(paragraph.get_text()) >= _LEAST_PROSE for paragraph in tag.find_all("p")):
        return True
    return not marked and tag.find([*HEADINGS, "p"]) is not None


def _is_note(aside: "Tag") -> bool:
    """Whether a book or a page says that it is a footnote or an endnote."""
    return "note" in f"{aside.get('epub:type', '')} {aside.get('role', '')}"


def _belongs_to_text(aside: "Tag") -> bool:
    """Whether an aside stands among the paragraphs of a text, and is no list of links."""
    text = aside.get_text()
    linked = sum(len(link.get_text()) for link in aside.find_all("a"))
    beside = (aside.find_previous_sibling(), aside.find_next_sibling())
    among = any(tag is not None and tag.name in _PARAGRAPHS for tag in beside)
    return among and linked * 2 < len(text)
