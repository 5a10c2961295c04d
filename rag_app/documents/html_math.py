"""Formulas of HTML (MathML) as a line of text: x^2=1/2."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# The same formula in another language, and what takes room only.
_NOT_SHOWN = ("annotation", "annotation-xml", "mphantom", "mspace", "mprescripts", "none")
_SINGLE = re.compile(r"\w+(?:[.,]\d+)?|\([^()]*\)|.", re.S)
# Operators that are not seen: times, comma, plus; the first applies a function.
_INVISIBLE = {0x2061: " ", 0x2062: None, 0x2063: None, 0x2064: None}
# What has parts, in brackets where they are long; and what has many.
_WRITTEN = {
    "mfrac": "{}/{}",
    **dict.fromkeys(("msup", "mover"), "{}^{}"),
    **dict.fromkeys(("msub", "munder"), "{}_{}"),
    **dict.fromkeys(("msubsup", "munderover"), "{}_{}^{}"),
    "mroot": "{}^(1/{})",
}
_JOINED = {"msqrt": ("√(", "", ")"), "mfenced": ("(", ", ", ")"), "mtable": ("[", "; ", "]")}


def write_formulas(soup: "BeautifulSoup") -> None:
    """Write each formula in the tree as text."""
    for formula in soup.find_all("math"):
        formula.replace_with(" ".join(_written(formula).split()))


def _written(tag: "Tag") -> str:
    from bs4 import Tag

    if tag.name in _NOT_SHOWN:
        return ""
    parts = [_written(child) for child in tag.children if isinstance(child, Tag)]
    if not parts:
        text = tag.get_text()
        return (text if tag.name == "mtext" else text.strip()).translate(_INVISIBLE)
    form = _WRITTEN.get(tag.name, "")
    if form and len(parts) == form.count("{}"):
        return form.format(*map(grouped, parts))
    begin, between, end = _JOINED.get(tag.name, ("", ", " if tag.name == "mtr" else "", ""))
    return f"{begin}{between.join(parts)}{end}"


def grouped(text: str) -> str:
    """In brackets unless it is one letter, word or number."""
    return text if not text or _SINGLE.fullmatch(text) else f"({text})"
