"""What stands within a line of HTML and means something without its tag: raised, struck, no tag."""

import re
from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

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
_STRUCK = ("del", "s", "strike")
_NUMBER = re.compile(r"[\[(]?(?P<mark>\d{1,3}|[*†‡])[\])]?")
_SIGNED = re.compile(r"[-+−]\d+")
# What is raised to a power: 10 and 2, a letter alone, a unit of length.
_BASE = re.compile(r"(?<![\w.,$€£¥₩])(?:10|2|[b-zA-HJ-Z]|[cdkm]m|ft|in|yd|mi)$")
_CLOSED = re.compile("</([a-z]+)", re.I)


def mark_inline(soup: "BeautifulSoup", markup: str) -> None:
    """Write what is raised as 10^6 or [1], drop what is struck out, keep <name> as a word.

    Arguments:
        markup: the page's source.
    """
    for tag in soup.find_all(_STRUCK):
        tag.extract()
    for tag in soup.find_all("sup"):
        if mark := _raised(tag):
            tag.replace_with(mark)
    _keep_words(soup, closed={name.lower() for name in _CLOSED.findall(markup)})


def _raised(tag: "Tag") -> str | None:
    """A power or a footnote's number as text; None of what reads well as it is, such as "1st"."""
    text = "".join(tag.get_text().split())
    before = tag.previous_sibling
    base = _BASE.search(before) if isinstance(before, str) else None
    if _SIGNED.fullmatch(text):
        return f"^{text}"
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if base and match["mark"] == text and tag.find("a") is None:
        return f"^{text}"
    return f" [{match['mark']}]"


def _keep_words(soup: "BeautifulSoup", *, closed: Set[str]) -> None:
    """Make a word of a tag that HTML does not know and nothing closes: "put <name> here"."""
    for tag in soup.find_all(True):
        name = tag.name
        if name in _KNOWN or tag.attrs or not name.isalpha() or name in closed:
            continue
        tag.insert_before(f"<{name}>")
        tag.unwrap()
