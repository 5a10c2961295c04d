"""Versions of one passage: which passages say nearly the same at different dates.

Whole texts cannot tell: a rewritten policy shares fewer words with its older version than the
manuals of two products share, and lies no closer to it by cosine. Titles can: those of two
versions differ in a date or a version number and in nothing else.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from llama_index.core.schema import BaseNode, MetadataMode

from rag_app.text.months import ENGLISH_MONTH
from rag_app.text.words import terms

# Shares of the terms of two passages that are common to both (Jaccard). Of two passages drawn
# from different pages of data/en one pair in ten reaches the first, of data/ko one in a hundred.
SAME_TITLE = 0.15
NO_TITLE = 0.7
# Passages whose wording is remembered, some 10 kB each once their words were asked for.
REMEMBERED = 5_000

_MONTH = rf"{ENGLISH_MONTH}\.?"
_YEAR = r"(?<!\d)(?:19|20)\d{2}(?!\d)"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = "|".join(
    (
        rf"{_YEAR}\s*[-/.년]\s*\d{{1,2}}(?:\s*[-/.월]\s*\d{{1,2}}(?!\d))?\s*[일월.]?",
        r"(?<!\d)(?:19|20)\d{6}(?!\d)",
        rf"\b(?:{_DAY}\s+)?{_MONTH},?\s+(?:{_DAY},?\s+)?{_YEAR}",
        rf"\b(?:q[1-4]\s*)?{_YEAR}\s*(?:년|q[1-4]\b)?",
    )
)
_VERSION = (
    r"\b(?:version|ver|v|firmware|revision|rev|release)\.?\s*\d+(?:\.\w+)*"
    r"|(?:펌웨어|버전|개정)\s*\d+(?:\.[\dx]+)*"
)
_BEFORE = (
    r"(?:\b(?:valid|effective|as\s+of|from|since|until|till|before|after|updated|revised)\s+)*"
)
_WHEN = re.compile(rf"{_BEFORE}(?:{_DATE}|{_VERSION})", re.I)
_PARTICLE = re.compile(r"(?:까지|부터|이후|이전)(?!\w)")


@dataclass(frozen=True)
class Wording:
    """What of a passage is compared with other passages.

    Fields:
        document: id of its document; no passage is a version of its own document's.
        title: terms of the title without its dates and version numbers; a table's row has none.
    """

    document: str
    title: frozenset[str]
    _text: str

    @classmethod
    def of(cls, node: BaseNode) -> "Wording":
        """Read it from a node, or remember it: each question looks at a hundred candidates."""
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        document = str(node.ref_doc_id or node.node_id)
        return _wording(document, str(node.metadata.get("title", "")), text)

    @cached_property
    def words(self) -> frozenset[str]:
        """Terms of the passage's text; where titles differ, nobody asks."""
        return frozenset(terms(self._text))

    def is_version_of(self, other: "Wording") -> bool:
        """Whether two passages of two documents say nearly the same.

        Where both have a title, it must be the same, and a part of the text; without titles
        nearly all of the text must be.
        """
        if self.document == other.document:
            return False
        if self.title and other.title:
            return self.title == other.title and self._shares(other, SAME_TITLE)
        return self._shares(other, NO_TITLE)

    def _shares(self, other: "Wording", least: float) -> bool:
        """Whether so much of all words of both are common to both."""
        fewer, more = sorted((len(self.words), len(other.words)))
        # No more can be common than the shorter one has: most pairs end here.
        if fewer == 0 or fewer / more < least:
            return False
        common = len(self.words & other.words)
        return common / (fewer + more - common) >= least


@lru_cache(maxsize=REMEMBERED)
def _wording(document: str, title: str, text: str) -> Wording:
    return Wording(document, frozenset(terms(undated(title))), text)


def undated(title: str) -> str:
    """A title without its dates, version numbers and the words that tie them to it."""
    return _PARTICLE.sub(" ", _WHEN.sub(" ", title))
