"""HTML -> text: what a reader of the page came for, with headings, lists and tables marked."""

import contextlib
import re
import warnings
from typing import TYPE_CHECKING

from rag_app.documents.content import Content
from rag_app.documents.html_dropped import HEADINGS, drop_boilerplate
from rag_app.documents.html_inline import BOX_EDGE, keep_words, mark_inline
from rag_app.documents.html_tables import write_tables
from rag_app.documents.left_out import LeftOut
from rag_app.documents.list_marks import list_mark
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode, normalise

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_BLOCKS = (
    *("p", "div", "section", "article", "main", "blockquote", "pre", "ul", "ol", "dl", "dt", "dd"),
    *("table", "tr", "td", "th", "caption", "figure", "figcaption", "address", "details"),
    *("summary", "form", "fieldset", "legend", "hr", "header", "footer", "aside", "nav", "hgroup"),
    *("search", "menu", "dir", "center", "dialog", "marquee", "listing", "xmp", *HEADINGS),
)
# What is drawn as a box within a line.
_BOXES = ("textarea", "button", "meter", "progress")
_DATES = (
    *("date", "dc.date", "dcterms.date", "dcterms.issued", "article:published_time"),
    *("datepublished", "article:modified_time", "og:updated_time", "last-modified"),
)
_LIST_STYLE = re.compile(r"list-style(?:-type)?\s*:\s*([a-z-]+)")
_LIST_STYLES = {
    **dict.fromkeys(("lower-alpha", "lower-latin"), "a"),
    **dict.fromkeys(("upper-alpha", "upper-latin"), "A"),
    "lower-roman": "i",
    "upper-roman": "I",
    "none": "none",
}
# A heading's or an item's mark, and the line ends that a block within them brings.
_MARK = re.compile(
    r"^ ?(- |#{1,6} |-?\d+\. |[a-zA-Z]\. |[ivxlcdm]+\. |[IVXLCDM]+\. )[ \t]*\n*(?=\S)", re.M
)
_CHARSET = re.compile(
    rb"""(?:charset|\A<\?xml\s[^>]*?\sencoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.I
)
# What pages call an encoding, and the larger one that browsers read it as.
_LARGER = {
    **dict.fromkeys(("euc-kr", "euckr", "ks_c_5601-1987", "windows-949"), "cp949"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis"), "cp932"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252"),
}
_MARKUP = re.compile(
    r"</?(?:p|br|div|span|a|b|i|u|s|em|strong|small|sup|sub|font|ul|ol|li|dl|dt|dd|table|thead|"
    r"tbody|tr|td|th|h[1-6]|hr|img|pre|code|blockquote|center)(?:\s[^<>]*)?/?>"
    r"|<!--|&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-f]{1,6});",
    re.I,
)


def read_html(source: Source) -> list[Content]:
    """Read a page as one document.

    Raises:
        DocumentError: its text appears only when a browser runs its scripts.
    """
    markup = decode_page(source.read_bytes())
    content = read_markup(markup)
    if not content.text and markup.strip():
        raise DocumentError("holds no text outside scripts and menus; save it from a browser")
    return [content]


def read_markup(markup: str, *, kind: str = "html", headed: bool = False) -> Content:
    """Read HTML that is decoded; without text the content is empty.

    Arguments:
        headed: the first row of a table is its header where none is marked.
    """
    soup = _parse(markup)
    title, dates = _title(soup), _dates(soup)
    left = drop_boilerplate(soup)
    if struck := mark_inline(soup):
        left.append(LeftOut("passages struck out", struck))
    text = _to_text(soup, headed=headed)
    return Content(text, kind=kind, title=title, dates=dates, left_out=left)


def strip_tags(text: str) -> str:
    """Make plain text of a table cell that holds HTML; any other text comes back as it is."""
    if not _MARKUP.search(text):
        return text
    try:
        soup = _parse(text)
    except DocumentError:
        # It only looked like HTML, and one odd cell is no reason to refuse its table.
        return text
    drop_boilerplate(soup)
    mark_inline(soup)
    return _to_text(soup, keep_lines=True)


def decode_page(data: bytes) -> str:
    """Decode as UTF-8 where it fits, else by the charset that the page names, else as any text.

    The page's word comes second: one that was converted often names its old charset still,
    and text in another charset is hardly ever valid UTF-8 (but for those that shift by escape).
    """
    named = _CHARSET.search(data[:4096])
    if named and (b"\x1b" in data or not _is_utf8(data)):
        return decode_as(data, named[1].decode("ascii"))
    return decode(data)


def decode_as(data: bytes, charset: str) -> str:
    """Decode by the name that a page or a mail gives its encoding, else as any text."""
    name = charset.lower()
    with contextlib.suppress(LookupError, UnicodeError):
        return data.decode(_LARGER.get(name, name))
    return decode(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parse(markup: str) -> "BeautifulSoup":
    from bs4 import MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning
    from bs4.exceptions import ParserRejectedMarkup

    from rag_app.documents.html_tree import Tree

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        try:
            return Tree(_without_open_comments(keep_words(markup)), "html.parser")
        except ParserRejectedMarkup as error:
            reason = str(error).splitlines()[-1].strip()
            raise DocumentError(f"is not HTML ({reason}); mend it: tidy -m FILE") from error


def _without_open_comments(markup: str) -> str:
    """Write comments that nothing closes as text; for each html.parser would read to the end."""
    end = markup.rfind("-->") + 1
    return markup[:end] + markup[end:].replace("<!--", "&lt;!--")


def _title(soup: "BeautifulSoup") -> str | None:
    for tag in soup.find_all(["title", "h1"]):
        if tag.find_parent("svg") is None and (title := normalise(tag.get_text())):
            return title
    return None


def _dates(soup: "BeautifulSoup") -> list[str]:
    found = {}
    for meta in soup.find_all("meta", content=True):
        names = (meta.get(key) for key in ("name", "property", "itemprop", "http-equiv"))
        found[str(next(filter(None, names), "")).lower()] = str(meta["content"])
    return [found[name] for name in _DATES if name in found]


def _to_text(soup: "BeautifulSoup", *, keep_lines: bool = False, headed: bool = False) -> str:
    """Write marks into the tree, then take its text.

    Arguments:
        keep_lines: line ends in the markup are the author's, as in a table cell.
        headed: as `read_markup` has it.
    """
    if not keep_lines:
        _fold_blanks(soup)
    _number_items(soup)
    _mark_blocks(soup)
    write_tables(soup, headed=headed)
    return normalise(_tidy(soup.get_text()))


def _fold_blanks(soup: "BeautifulSoup") -> None:
    from bs4.element import NavigableString

    preformatted = {id(string) for tag in soup.find_all("pre") for string in tag.strings}
    for string in soup.find_all(string=True):
        if type(string) is NavigableString and id(string) not in preformatted:
            string.replace_with(re.sub(r"[ \t\r\n\f]+", " ", string))


def _number_items(soup: "BeautifulSoup") -> None:
    """Write the numbers of ordered lists: "see step 3" needs them."""
    numbers: dict[int, int] = {}
    for item in soup.find_all("li"):
        within = item.find_parent(["ol", "ul", "menu"])
        if within is None or within.name != "ol":
            bare = within is not None and within.get("type") == "none"
            item.insert(0, "\n" if bare else "\n- ")
            continue
        step = -1 if within.has_attr("reversed") else 1
        last = numbers.get(id(within), _first(within) - step)
        numbers[id(within)] = number = _whole(item.get("value"), last + step)
        style = _style(item) or _style(within) or "1"
        item.insert(0, "\n" if style == "none" else f"\n{list_mark(number, style)}. ")


def _first(within: "Tag") -> int:
    """The number of a list's first item; a list that counts down ends with 1."""
    count = len(within.find_all("li", recursive=False)) if within.has_attr("reversed") else 1
    return _whole(within.get("start"), count)


def _whole(value: object, default: int) -> int:
    text = str(value or "").strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,6}", text) else default


def _style(tag: "Tag") -> str:
    """How a list or an item is numbered, as HTML's `type` names it; "" where nothing says it."""
    shown = _LIST_STYLE.search(str(tag.get("style", "")).lower())
    return _LIST_STYLES.get(shown[1], "1") if shown else str(tag.get("type", ""))


def _mark_blocks(soup: "BeautifulSoup") -> None:
    for tag in soup.find_all("br"):
        tag.replace_with(" " if tag.find_parent(HEADINGS) else "\n")
    for tag in soup.find_all(HEADINGS):
        if tag.get_text(strip=True):
            tag.insert(0, "#" * int(tag.name[1]) + " ")
    for tag in soup.find_all("pre"):
        if "\n" in (lines := tag.get_text().strip("\n")):
            fence = "~~~" if "```" in lines else "```"
            tag.clear()
            tag.append(f"{fence}\n{lines}\n{fence}")
    for tag in soup.find_all(_BOXES):
        tag.insert(0, BOX_EDGE)
        tag.append(BOX_EDGE)
    for tag in soup.find_all(_BLOCKS):
        space = "\n" if tag.find_parent("li") else "\n\n"
        tag.insert(0, space)
        tag.append(space)


def _tidy(text: str) -> str:
    text = re.sub(rf"{BOX_EDGE}+(?=[.,;:!?)])", "", text)
    text = re.sub(rf"^[ \t]*{BOX_EDGE}[ \t{BOX_EDGE}]*", "", text, flags=re.M)
    text = re.sub(rf"[ \t]*{BOX_EDGE}[ \t{BOX_EDGE}]*", " ", text)
    text = _MARK.sub(r"\1", text)
    text = re.sub(r"(?<=\S)[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    text = re.sub(r"^ (?=\S)", "", text, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", text)
