"""How runs of a Hangul document look (.hwpx): raised, lowered, struck out."""

import zipfile
from collections.abc import Mapping
from xml.etree.ElementTree import Element

from rag_app.documents.archive import local, xml_of
from rag_app.documents.runs import Run, written

_HEADER = "Contents/header.xml"
# Kinds of lines; Hangul writes others, such as 3D, where there is none.
_LINES = frozenset(
    {
        *("SOLID", "DOT", "DASH", "DASH_DOT", "DASH_DOT_DOT", "LONG_DASH", "CIRCLE"),
        *("DOUBLE_SLIM", "SLIM_THICK", "THICK_SLIM", "SLIM_THICK_SLIM"),
    }
)


def looks_of(archive: zipfile.ZipFile) -> Mapping[str, Run]:
    """What the document calls a look that means something -> a run, without text, that has it."""
    if _HEADER not in archive.namelist():
        return {}
    found = {
        one.get("id", ""): _look(one)
        for one in xml_of(archive, _HEADER).iter()
        if local(one) == "charPr"
    }
    return {name: look for name, look in found.items() if look != Run("")}


def _look(properties: Element) -> Run:
    parts = {local(part): part for part in properties}
    height = ("supscript" in parts) - ("subscript" in parts)
    line = parts["strikeout"].get("shape", "") if "strikeout" in parts else ""
    return Run("", height, line in _LINES)


def mark_runs(section: Element, looks: Mapping[str, Run]) -> int:
    """Write what raised and lowered runs mean into a section, and empty those struck out.

    Returns:
        How many are struck out.
    """
    return sum(_mark(one, looks) for one in section.iter() if looks and local(one) == "p")


def _mark(paragraph: Element, looks: Mapping[str, Run]) -> int:
    texts = [
        (text, looks.get(run.get("charPrIDRef", ""), Run("")))
        for run in paragraph
        if local(run) == "run"
        for text in run
        if local(text) == "t"
    ]
    runs = [look._replace(text="".join(text.itertext())) for text, look in texts]
    for (text, look), run, new in zip(texts, runs, written(runs), strict=True):
        # Tabs and line ends are elements of a text; they stay where nothing changes.
        if look.is_struck or new != run.text:
            text[:] = []
            text.text = new
    return sum(run.is_struck and bool(run.text.strip()) for run in runs)
