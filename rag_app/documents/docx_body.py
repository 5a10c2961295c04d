"""What mammoth passes over in the body of a Word document, written so that it is read."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from rag_app.documents.archive import local
from rag_app.documents.html_math import grouped

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# Around runs that mammoth reads where nothing stands around them.
_WRAPPERS = ("fldSimple", "bdo", "dir", "oMathPara")
_FORMULAS = {"f": "{}/{}", "sSup": "{}^{}", "sSub": "{}_{}", "sSubSup": "{}_{}^{}"}


def text_run(text: str) -> Element:
    """A run with a text."""
    run = Element(f"{WORD}r")
    SubElement(run, f"{WORD}t").text = text
    return run


def write_plainly(body: Element) -> None:
    """Write fields as their text, formulas as lines, doubly struck text as struck."""
    for holder in list(body.iter()):
        if any(local(one) in (*_WRAPPERS, "oMath") for one in holder):
            holder[:] = list(_plain(holder))
        if holder.tag == f"{WORD}dstrike":
            holder.tag = f"{WORD}strike"


def _plain(holder: Element) -> Iterator[Element]:
    for one in holder:
        if local(one) in _WRAPPERS:
            yield from _plain(one)
        elif local(one) == "oMath":
            yield text_run(" ".join(_formula(one).split()))
        elif not local(one).endswith("Pr") or local(holder) not in _WRAPPERS:
            yield one


def _formula(element: Element) -> str:
    name = local(element)
    if name == "t":
        return element.text or ""
    parts = [_formula(one) for one in element if not local(one).endswith("Pr")]
    form = _FORMULAS.get(name, "")
    if form and len(parts) == form.count("{}"):
        return form.format(*map(grouped, parts))
    if name == "rad" and parts:
        return f"√({parts[-1]})" if not parts[0] or len(parts) == 1 else _root(*parts[:2])
    if name == "nary" and len(parts) == 3:
        low, high = (grouped(part) for part in parts[:2])
        limits = f"{low and f'_{low}'}{high and f'^{high}'}"
        return f"{_said(element, 'chr', '∫')}{limits} {parts[2]}"
    if name == "d":
        return f"{_said(element, 'begChr', '(')}{', '.join(parts)}{_said(element, 'endChr', ')')}"
    return {"mr": ", ", "m": "; ", "func": " "}.get(name, "").join(parts)


def _root(degree: str, inner: str) -> str:
    return f"{grouped(inner)}^(1/{grouped(degree)})"


def _said(element: Element, name: str, default: str) -> str:
    """A sign that a formula's properties name."""
    for about in (one for one in element if local(one).endswith("Pr")):
        for one in about:
            if local(one) == name:
                return next(iter(one.attrib.values()), "")
    return default
