"""What Office files say in XML of their own: formulas (OMML) and drawings (DrawingML), as text."""

from collections.abc import Iterable, Iterator
from typing import Any

from rag_app.documents.archive import local
from rag_app.documents.html_math import grouped

# Elements of lxml, which python-pptx has, and of the standard library are asked alike.
XmlElement = Any
_FORMULAS = {"f": "{}/{}", "sSup": "{}^{}", "sSub": "{}_{}", "sSubSup": "{}_{}^{}"}


def formula_text(element: XmlElement) -> str:
    """A formula on one line: x^2, (a+b)/2, √(x).

    Arguments:
        element: an m:oMath, or any part of one.
    """
    name = local(element)
    if name == "t":
        return str(element.text or "")
    parts = [formula_text(one) for one in element if not local(one).endswith("Pr")]
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


def _said(element: XmlElement, name: str, default: str) -> str:
    """A sign that a formula's properties name."""
    for about in (one for one in element if local(one).endswith("Pr")):
        for one in about:
            if local(one) == name:
                return str(next(iter(one.attrib.values()), ""))
    return default


def paragraph_texts(element: XmlElement) -> Iterator[str]:
    """The paragraphs of text in a drawing, such as the boxes of a diagram; none that is empty."""
    for paragraph in element.iter():
        if local(paragraph) == "p":
            text = "".join(one.text or "" for one in paragraph.iter() if _is_text(one))
            if text.strip():
                yield text.strip()


def named_elements(elements: Iterable[XmlElement], name: str) -> list[XmlElement]:
    """Those of this name, of any namespace."""
    return [one for one in elements if local(one) == name]


def _is_text(element: XmlElement) -> bool:
    # Text of equations has the same name in another namespace.
    return local(element) == "t" and not str(element.tag).endswith("/math}t")
