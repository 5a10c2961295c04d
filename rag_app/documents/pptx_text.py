"""The text of slides' paragraphs, from their XML: runs as they look, numbers of lists."""

from collections.abc import Iterator
from typing import Any

from rag_app.documents.archive import local
from rag_app.documents.list_marks import list_mark
from rag_app.documents.runs import Run, runs_text

# How names of numberings begin (ST_TextAutonumberScheme, ECMA-376), and end.
_STYLES = {"alphaLc": "a", "alphaUc": "A", "romanLc": "i", "romanUc": "I", "circle": "①"}
_FORMS = {"ParenBoth": "({})", "ParenR": "{})", "Period": "{}."}


def paragraphs_text(holder: Any) -> str:
    """The paragraphs below an element, one a line."""
    counts: dict[int, tuple[str, int]] = {}
    lines = []
    for paragraph in (one for one in holder.iter() if local(one) == "p"):
        text = runs_text(_runs(paragraph))
        mark = _mark(paragraph, counts) if text.strip() else ""
        lines.append(mark + text)
    return "\n".join(lines).strip()


def struck_count(holder: Any) -> int:
    """How many runs with text below an element are struck out."""
    runs = (run for one in holder.iter() if local(one) == "p" for run in _runs(one))
    return sum(run.is_struck and bool(run.text.strip()) for run in runs)


def _runs(paragraph: Any) -> Iterator[Run]:
    for piece in paragraph:
        if local(piece) == "br":
            yield Run("\n")
        elif local(piece) in ("r", "fld"):
            parts = {local(part): part for part in piece}
            text = parts["t"].text or "" if "t" in parts else ""
            looks = parts["rPr"].attrib if "rPr" in parts else {}
            # In thousandths of a per cent, or with a sign.
            raised = int(looks.get("baseline", "0").rstrip("%") or 0)
            struck = looks.get("strike", "noStrike") != "noStrike"
            yield Run(text, (raised > 0) - (raised < 0), struck)


def _mark(paragraph: Any, counts: dict[int, tuple[str, int]]) -> str:
    """The number of an item, which other paragraphs of its level or above it begin anew.

    Arguments:
        counts: level -> the numbering that goes on there, and its last number.
    """
    about = next((one for one in paragraph if local(one) == "pPr"), None)
    level = int(about.get("lvl", 0)) if about is not None else 0
    inner = about if about is not None else ()
    numbering = next((one for one in inner if local(one) == "buAutoNum"), None)
    for deeper in [one for one in counts if one > level or (numbering is None and one == level)]:
        del counts[deeper]
    if numbering is None:
        return ""
    kind, start = numbering.get("type", "arabicPeriod"), int(numbering.get("startAt", 1))
    key, last = counts.get(level, ("", 0))
    number = last + 1 if key == f"{kind} {start}" else start
    counts[level] = f"{kind} {start}", number
    return _written(number, kind)


def _written(number: int, kind: str) -> str:
    style = next((style for begin, style in _STYLES.items() if kind.startswith(begin)), "1")
    form = next((form for end, form in _FORMS.items() if kind.endswith(end)), "{}")
    return form.format(list_mark(number, style)) + " "
