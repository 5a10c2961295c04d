"""Numbers of a Word document's paragraphs, which its XML counts but does not write.

mammoth begins each list anew with 1, and headings have no number at all.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from rag_app.documents.archive import local, xml_of
from rag_app.documents.docx_body import WORD, text_run
from rag_app.documents.list_marks import list_mark

_STYLES = {
    "lowerLetter": "a",
    "upperLetter": "A",
    "lowerRoman": "i",
    "upperRoman": "I",
    "ganada": "가",
    "decimalEnclosedCircle": "①",
}
# Stands before each number that is written: an item that has one gets no other.
MARKED = "\ue000"
_UNNUMBERED = ("bullet", "none")
_LEVELS = 9


@dataclass(frozen=True)
class _Level:
    """How one level of a list is numbered: "%1.%2" are the numbers of the first and the second."""

    start: int = 1
    format: str = "decimal"
    text: str = "%1."
    style: str = ""


@dataclass(frozen=True)
class _Numbering:
    """A numbering that paragraphs name.

    Fields:
        list: whose counting it goes on with.
        restarts: level -> the number with which it begins anew.
    """

    list: str
    levels: Mapping[int, _Level]
    restarts: Mapping[int, int]


@dataclass
class Numbers:
    """The numberings of a document, and how far each list has come."""

    numberings: Mapping[str, _Numbering]
    of_styles: Mapping[str, tuple[str, int]]
    _last: dict[str, dict[int, int]] = field(default_factory=dict)
    _begun: set[tuple[str, int]] = field(default_factory=set)

    def write(self, body: Element) -> None:
        """Write its number at the beginning of each numbered paragraph with text."""
        for paragraph in _paragraphs(body):
            mark = self._mark(paragraph)
            if mark and any(one.text for one in paragraph.iter(f"{WORD}t")):
                at = int(paragraph.find(f"{WORD}pPr") is not None)
                paragraph.insert(at, text_run(f"{MARKED}{mark} "))

    def _mark(self, paragraph: Element) -> str:
        name, level = self._named(paragraph)
        numbering = self.numberings.get(name)
        about = numbering.levels.get(level) if numbering else None
        if numbering is None or about is None:
            return ""
        last = self._last.setdefault(numbering.list, {})
        if level in numbering.restarts and (name, level) not in self._begun:
            last[level] = numbering.restarts[level] - 1
        self._begun.add((name, level))
        for above in range(level):
            last.setdefault(above, numbering.levels.get(above, _Level()).start)
        last[level] = last.get(level, about.start - 1) + 1
        for deeper in range(level + 1, _LEVELS):
            last.pop(deeper, None)
        return _written(about, last, numbering.levels)

    def _named(self, paragraph: Element) -> tuple[str, int]:
        """The numbering of a paragraph, its own or its style's, and the level."""
        about = _child(paragraph, "pPr")
        name, level = self.of_styles.get(_value(about, "pStyle"), ("", 0))
        own = _child(about, "numPr")
        name = _value(own, "numId") or name
        return name, _number(_value(own, "ilvl"), level)


def numbers_of(archive: zipfile.ZipFile) -> Numbers:
    """Read what a document says of its numberings."""
    members = archive.namelist()
    if "word/numbering.xml" not in members:
        return Numbers({}, {})
    root = xml_of(archive, "word/numbering.xml")
    lists = {one.get(f"{WORD}abstractNumId", ""): one for one in _children(root, "abstractNum")}
    # A list may be defined where its style is.
    styled = {name: one for one in lists.values() if (name := _value(one, "styleLink"))}
    found = {
        one.get(f"{WORD}numId", ""): _numbering(one, lists, styled)
        for one in _children(root, "num")
    }
    styles = xml_of(archive, "word/styles.xml") if "word/styles.xml" in members else Element("none")
    return Numbers(found, _of_styles(styles, found))


def _numbering(
    num: Element, lists: Mapping[str, Element], styled: Mapping[str, Element]
) -> _Numbering:
    name = _value(num, "abstractNumId")
    defined = lists.get(name)
    levels = _levels(styled.get(_value(defined, "numStyleLink"), defined))
    restarts = {}
    for one in _children(num, "lvlOverride"):
        level = _number(one.get(f"{WORD}ilvl", ""), 0)
        levels |= _levels(one)
        if start := _value(one, "startOverride"):
            restarts[level] = _number(start, 1)
    return _Numbering(name, levels, restarts)


def _levels(holder: Element | None) -> dict[int, _Level]:
    return {
        _number(one.get(f"{WORD}ilvl", ""), 0): _Level(
            _number(_value(one, "start"), 1),
            _value(one, "numFmt") or "decimal",
            _value(one, "lvlText"),
            _value(one, "pStyle"),
        )
        for one in _children(holder, "lvl")
    }


def _of_styles(styles: Element, numberings: Mapping[str, _Numbering]) -> dict[str, tuple[str, int]]:
    """Style -> the numbering that it, or one that it is based on, names, and the level."""
    named = {one.get(f"{WORD}styleId", ""): one for one in _children(styles, "style")}
    found = {}
    for style in named:
        at, passed = style, set[str]()
        while at in named and at not in passed:
            passed.add(at)
            own = _child(_child(named[at], "pPr"), "numPr")
            if name := _value(own, "numId"):
                levels = numberings[name].levels if name in numberings else {}
                linked = next((level for level, one in levels.items() if one.style == at), 0)
                found[style] = name, _number(_value(own, "ilvl"), linked)
                break
            at = _value(named[at], "basedOn")
    return found


def _written(level: _Level, last: Mapping[int, int], levels: Mapping[int, _Level]) -> str:
    if level.format in _UNNUMBERED:
        return ""

    def number(match: re.Match[str]) -> str:
        at = int(match[1]) - 1
        about = levels.get(at, _Level())
        written = list_mark(last.get(at, about.start), _STYLES.get(about.format, "1"))
        return written.zfill(2) if about.format == "decimalZero" else written

    return re.sub("%([1-9])", number, level.text).strip()


def _paragraphs(element: Element) -> Iterator[Element]:
    """Paragraphs in the order of reading; of what is written twice, as mammoth reads it."""
    for inner in element:
        if local(inner) == "Choice":
            continue
        if inner.tag == f"{WORD}p":
            yield inner
        yield from _paragraphs(inner)


def _children(holder: Element | None, name: str) -> list[Element]:
    return [] if holder is None else holder.findall(f"{WORD}{name}")


def _child(holder: Element | None, name: str) -> Element | None:
    return next(iter(_children(holder, name)), None)


def _value(holder: Element | None, name: str) -> str:
    child = _child(holder, name)
    return "" if child is None else child.get(f"{WORD}val", "")


def _number(text: str, default: int) -> int:
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else default
