"""What stands within a line of HTML and means something: raised, lowered, struck, no tag."""

import re
from itertools import islice
from typing import TYPE_CHECKING

from rag_app.documents.html_math import write_formulas
from rag_app.documents.runs import lowered, raised

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from bs4.element import PageElement

# HTML's elements, those of older pages too, and those of formulas.
_ELEMENTS = """
a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big
blink blockquote body br button canvas caption center cite code col colgroup content data
datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure font
footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image img
input ins isindex kbd keygen label legend li link listing main map mark marquee menu
menuitem meta meter multicol nav nextid nobr noembed noframes noscript object ol optgroup
option output p param picture plaintext portal pre progress q rb rbc rp rt rtc ruby s samp
script search section select shadow slot small source spacer span strike strong style sub
summary sup svg table tbody td template textarea tfoot th thead time title tr track tt u ul
var video wbr xmp xml math maction menclose merror mfenced mfrac mi mmultiscripts mn mo
mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle msub msubsup msup
mtable mtd mtext mtr munder munderover none semantics annotation
"""
_KNOWN = frozenset(_ELEMENTS.split())
# Where the box of a form's field begins or ends: no word goes on there. A private character, until
# blanks are tidied.
BOX_EDGE = "\ue001"
_STRUCK = ("del", "s", "strike")
_WITHIN_LINE = ("a", "b", "em", "i", "mark", "small", "span", "strong", "sub", "u", "var")
# Pieces of a line that are looked at before a raised text.
_BESIDE = 4
_CLOSED = re.compile(r"</([^\s<>/]+)")
# A tag without values: <name>, <First Name>, <kim@example.com>, <https://example.com>.
_BARE = re.compile(r"<(?P<name>[A-Za-z][^\s<>/\"'=]*)(?P<rest>[^<>\"'=]*)>")


def keep_words(markup: str) -> str:
    """Write what only looks like a tag as text: "put <name> here".

    HTML knows no such element, nothing closes it, and it has no values.
    """
    closed = {name.lower() for name in _CLOSED.findall(markup)}

    def word(match: re.Match[str]) -> str:
        name, rest = match["name"].lower(), match["rest"]
        is_address = "@" in name or rest.startswith("//")
        is_tag = name in _KNOWN or name in closed or ":" in name or rest.endswith("/")
        return match[0] if is_tag and not is_address else f"&lt;{match[0][1:-1]}&gt;"

    return _BARE.sub(word, markup)


def mark_inline(soup: "BeautifulSoup") -> int:
    """Write what is raised as 10^6 or [1], part what is lowered, drop what is struck out.

    Returns:
        How many passages are struck out.
    """
    struck = sum(bool(tag.extract().get_text(strip=True)) for tag in soup.find_all(_STRUCK))
    write_formulas(soup)
    for tag in soup.find_all(_is_raised):
        is_link = tag.name == "a" or tag.find("a") is not None
        mark = raised(tag.get_text(), _before(tag), _behind(tag), is_link=is_link)
        if mark is not None:
            tag.replace_with(mark)
    for tag in soup.find_all("sub"):
        mark = lowered(tag.get_text(), _before(tag), _behind(tag))
        if mark is not None:
            tag.replace_with(mark)
    for tag in soup.find_all("input"):
        tag.replace_with(_filled_in(tag))
    for tag in soup.find_all("img", alt=True):
        # One word is a logo or an icon more often than a picture of something.
        alt = " ".join(str(tag["alt"]).split())
        tag.replace_with(f" {alt} " if " " in alt else "")
    return struck


def _is_raised(tag: "Tag") -> bool:
    """Whether a text is raised, or leads to a note of a book, which its style sheet raises."""
    kinds = f"{tag.get('epub:type', '')} {tag.get('role', '')}".split()
    is_mark = tag.name == "a" and not {"noteref", "doc-noteref"}.isdisjoint(kinds)
    return tag.name == "sup" or (is_mark and tag.find_parent("sup") is tag.find("sup") is None)


def _before(tag: "Tag") -> str:
    """The text before a tag, parts of which may be in italics: a variable with its power."""
    text = ""
    for beside in islice(tag.previous_siblings, _BESIDE):
        if (more := _text(beside)) is None:
            break
        text = more + text
    return text


def _behind(tag: "Tag") -> str:
    return _text(tag.next_sibling) or ""


def _text(beside: "PageElement | None") -> str | None:
    """The text of what stands in the same line; None of anything else."""
    from bs4.element import NavigableString, Tag

    if isinstance(beside, Tag):
        return beside.get_text() if beside.name in _WITHIN_LINE else None
    return str(beside) if type(beside) is NavigableString else None


def _filled_in(tag: "Tag") -> str:
    """What a reader sees in a form's field."""
    kind = str(tag.get("type", "text")).lower()
    if kind in ("checkbox", "radio"):
        return f"{BOX_EDGE}[x] " if tag.has_attr("checked") else f"{BOX_EDGE}[ ] "
    shown = kind in ("text", "email", "tel", "url", "number", "date", "time", "month")
    return f"{BOX_EDGE}{tag.get('value', '')}{BOX_EDGE}" if shown else ""
