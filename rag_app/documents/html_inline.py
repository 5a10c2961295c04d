"""What stands within a line of HTML and means something: raised, lowered, struck, no tag."""

import re
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
_VARIABLE = re.compile(r"[a-z](?:[-+−]\d+)?")
# What is raised to a power: 10 and 2, a letter alone, a unit of length.
_BASE = re.compile(r"(?<![\w.,$€£¥₩])(?:10|2|[b-zA-HJ-Z]|[cdkm]m|ft|in|yd|mi)$")
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


def mark_inline(soup: "BeautifulSoup") -> None:
    """Write what is raised as 10^6 or [1], part what is lowered, drop what is struck out."""
    for tag in soup.find_all(_STRUCK):
        tag.extract()
    for tag in soup.find_all("sup"):
        if mark := _raised(tag):
            tag.replace_with(mark)
    for tag in soup.find_all("sub"):
        if mark := _lowered(tag):
            tag.replace_with(mark)
    for tag in soup.find_all("input"):
        tag.replace_with(_filled_in(tag))
    for tag in soup.find_all("img", alt=True):
        # One word is a logo or an icon more often than a picture of something.
        alt = " ".join(str(tag["alt"]).split())
        tag.replace_with(f" {alt} " if " " in alt else "")


def _raised(tag: "Tag") -> str | None:
    """A power or a footnote's number as text; None of what reads well as it is, such as "1st"."""
    text = "".join(tag.get_text().split())
    before = tag.previous_sibling
    base = _BASE.search(before) if isinstance(before, str) else None
    if _SIGNED.fullmatch(text):
        return f"^{text}"
    # "2e" is French for second.
    if base and _VARIABLE.fullmatch(text) and (text != "e" or base[0].isalpha()):
        return f"^{text}"
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if base and match["mark"] == text and tag.find("a") is None:
        return f"^{text}"
    return f" [{match['mark']}]"


def _lowered(tag: "Tag") -> str | None:
    """A lowered number beside another, which would read as one: log_10 100; None else: H2O."""
    text = "".join(tag.get_text().split())
    before, behind = tag.previous_sibling, tag.next_sibling
    joins_before = isinstance(before, str) and before[-1:].isdigit()
    joins_behind = isinstance(behind, str) and behind[:1].isdigit()
    if not text.isdigit() or not (joins_before or joins_behind):
        return None
    return f"_{text} " if joins_behind else f"_{text}"


def _filled_in(tag: "Tag") -> str:
    """What a reader sees in a form's field."""
    kind = str(tag.get("type", "text")).lower()
    if kind in ("checkbox", "radio"):
        return "[x] " if tag.has_attr("checked") else "[ ] "
    shown = kind in ("text", "email", "tel", "url", "number", "date", "time", "month")
    return str(tag.get("value", "")) if shown else ""
