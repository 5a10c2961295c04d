"""HTML -> text: what a reader of the page came for, with headings, lists and tables marked."""

import contextlib
import re
import warnings
from typing import TYPE_CHECKING

from rag_app.documents.content import Content
from rag_app.documents.html_inline import mark_inline
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode, normalise

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# What no page shows as text, and what leads to other pages.
_NEVER = (
    *("script", "style", "noscript", "template", "svg", "iframe", "select", "datalist"),
    *("head", "nav"),
)
# Around the main content they are the site's; within it they belong to it.
_AROUND = ("header", "footer", "aside")
_MAIN = ("main", "article", "section")
_LEAST_PROSE = 60
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = (
    *("p", "div", "section", "article", "main", "blockquote", "pre", "ul", "ol", "dl", "dt", "dd"),
    *("table", "tr", "td", "th", "caption", "figure", "figcaption", "address", "details"),
    *("summary", "form", "fieldset", "hr", *_HEADINGS),
)
# What no cell of data holds, only one that lays out a page.
_LAID_OUT = ("table", "ul", "ol", "pre", *_HEADINGS)
_DATES = (
    *("date", "dc.date", "dcterms.date", "dcterms.issued", "article:published_time"),
    *("datepublished", "article:modified_time", "og:updated_time", "last-modified"),
)
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.I)
# What pages call an encoding, and the larger one that browsers read it as.
_LARGER = {
    **dict.fromkeys(("euc-kr", "euckr", "ks_c_5601-1987", "windows-949"), "cp949"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis"), "cp932"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252"),
}
_MAX_DEPTH = 2_000
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
    markup = _decode_page(source.read_bytes())
    soup = _parse(markup)
    title, dates = _title(soup), _dates(soup)
    text = _to_text(soup, markup)
    if not text and markup.strip():
        raise DocumentError("holds no text outside scripts and menus; save it from a browser")
    return [Content(text, kind="html", title=title, dates=dates)]


def strip_tags(text: str) -> str:
    """Make plain text of a table cell that holds HTML; any other text comes back as it is."""
    if not _MARKUP.search(text):
        return text
    try:
        soup = _parse(text)
    except DocumentError:
        # It only looked like HTML, and one odd cell is no reason to refuse its table.
        return text
    return _to_text(soup, text, keep_lines=True)


def _decode_page(data: bytes) -> str:
    """Decode as UTF-8 where it fits, else by the charset that the page names, else as any text.

    The page's word comes second: one that was converted often names its old charset still,
    and text in another charset is hardly ever valid UTF-8 (but for those that shift by escape).
    """
    named = _CHARSET.search(data[:4096])
    if named and (b"\x1b" in data or not _is_utf8(data)):
        name = named[1].decode("ascii").lower()
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
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning
    from bs4.exceptions import ParserRejectedMarkup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        try:
            soup = BeautifulSoup(_without_open_comments(markup), "html.parser")
        except ParserRejectedMarkup as error:
            reason = str(error).splitlines()[-1].strip()
            raise DocumentError(f"is not HTML ({reason}); mend it: tidy -m FILE") from error
    _refuse_depth(soup)
    return soup


def _without_open_comments(markup: str) -> str:
    """Write comments that nothing closes as text; for each html.parser would read to the end."""
    end = markup.rfind("-->") + 1
    return markup[:end] + markup[end:].replace("<!--", "&lt;!--")


def _refuse_depth(soup: "BeautifulSoup") -> None:
    """Refuse a tree on which looking for parents, tag by tag, would take hours."""
    depths = {id(soup): 0}
    for node in soup.descendants:
        depths[id(node)] = depth = depths[id(node.parent)] + 1
        if depth > _MAX_DEPTH:
            raise DocumentError(f"nests tags over {_MAX_DEPTH:,} deep; close them: tidy -m FILE")


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


def _to_text(soup: "BeautifulSoup", markup: str, *, keep_lines: bool = False) -> str:
    """Write marks into the tree, then take its text.

    Arguments:
        markup: what the tree was made of.
        keep_lines: line ends in the markup are the author's, as in a table cell.
    """
    _drop_boilerplate(soup)
    mark_inline(soup, markup)
    if not keep_lines:
        _fold_blanks(soup)
    _part_cells(soup)
    _mark_blocks(soup)
    for row in soup.find_all("tr"):
        _join_cells(row)
    return normalise(_tidy(soup.get_text()))


def _drop_boilerplate(soup: "BeautifulSoup") -> None:
    for tag in soup.find_all(_NEVER):
        tag.extract()
    marked = soup.find(["main", "article"]) is not None
    for tag in soup.find_all(_AROUND):
        if tag.find_parent(_MAIN) is None and not _opens_page(tag, marked=marked):
            tag.extract()


def _opens_page(tag: "Tag", *, marked: bool) -> bool:
    """Whether a header is a title block or a preamble, not the site's banner.

    Arguments:
        marked: the page says where its content is; then only a paragraph of some length tells.
    """
    if tag.name != "header":
        return False
    if any(len(paragraph.get_text()) >= _LEAST_PROSE for paragraph in tag.find_all("p")):
        return True
    return not marked and tag.find([*_HEADINGS, "p"]) is not None


def _fold_blanks(soup: "BeautifulSoup") -> None:
    from bs4.element import NavigableString

    preformatted = {id(string) for tag in soup.find_all("pre") for string in tag.strings}
    for string in soup.find_all(string=True):
        if type(string) is NavigableString and id(string) not in preformatted:
            string.replace_with(re.sub(r"[ \t\r\n\f]+", " ", string))


def _part_cells(soup: "BeautifulSoup") -> None:
    """Put rows and cells beside each other that HTML lets an author leave open.

    html.parser puts each of them into the one before.
    """
    for tag in soup.find_all(["tr", "td", "th"]):
        same = {"tr"} if tag.name == "tr" else {"td", "th"}
        outer = tag.find_parent(["table", "tr", *same])
        if outer is not None and outer.name in same:
            outer.insert_after(tag.extract())


def _mark_blocks(soup: "BeautifulSoup") -> None:
    for tag in soup.find_all("br"):
        tag.replace_with(" " if tag.find_parent(_HEADINGS) else "\n")
    for tag in soup.find_all(_HEADINGS):
        if tag.get_text(strip=True):
            tag.insert(0, "#" * int(tag.name[1]) + " ")
    for tag in soup.find_all("li"):
        tag.insert(0, "\n- ")
    for tag in soup.find_all(_BLOCKS):
        space = "\n" if tag.find_parent("li") else "\n\n"
        tag.insert(0, space)
        tag.append(space)


def _join_cells(row: "Tag") -> None:
    """Write a row of data as one line; a row that only lays out a page is left as blocks."""
    cells = row.find_all(["td", "th"])
    if any(len(cell.find_all("p")) > 1 or cell.find(_LAID_OUT) for cell in cells):
        return
    line = " | ".join(" ".join(cell.get_text().split()) for cell in cells)
    row.clear()
    row.append(f"{line}\n" if line.strip(" |") else "")


def _tidy(text: str) -> str:
    text = re.sub(r"^ ?(- |#{1,6} )\s+", r"\1", text, flags=re.M)
    text = re.sub(r"(?<=\S)[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    text = re.sub(r"^ (?=\S)", "", text, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", text)
