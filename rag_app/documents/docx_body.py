"""What mammoth passes over in the body of a Word document, written so that it is read."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from rag_app.documents.archive import local
from rag_app.documents.office_xml import formula_text

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# Around runs that mammoth reads where nothing stands around them.
_WRAPPERS = ("fldSimple", "bdo", "dir", "oMathPara")


def text_run(text: str) -> Element:
    """A run with a text."""
    run = Element(f"{WORD}r")
    SubElement(run, f"{WORD}t").text = text
    return run


def write_plainly(body: Element) -> None:
    """Write fields as their text, formulas as lines, doubly struck text as struck."""
    _write_choices(body)
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
            yield text_run(" ".join(formula_text(one).split()))
        elif not local(one).endswith("Pr") or local(holder) not in _WRAPPERS:
            yield one


def _write_choices(body: Element) -> None:
    """Write what is chosen in the lists of a form, where Word keeps it by its number."""
    for paragraph in (one for one in body.iter() if one.tag == f"{WORD}p"):
        for number, run in reversed(list(enumerate(paragraph))):
            chosen = [text for one in run.iter(f"{WORD}ddList") if (text := _chosen(one))]
            if chosen:
                paragraph.insert(number, text_run(chosen[0]))


def _chosen(choices: Element) -> str:
    entries = [one.get(f"{WORD}val", "") for one in choices.iter(f"{WORD}listEntry")]
    numbers = {local(one): one.get(f"{WORD}val", "0") for one in choices}
    at = numbers.get("result", numbers.get("default", "0"))
    return entries[int(at)] if at.isdecimal() and int(at) < len(entries) else ""
