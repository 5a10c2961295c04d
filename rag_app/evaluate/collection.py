"""Where a collection is at fault, not its search: passages and documents that say the same.

A question whose first passage nearly repeats the right one is counted as missed, though its reader
is answered: a second right passage for the labels, or an older version that should be gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from rag_app.evaluate.scoring import Outcome
from rag_app.pairs import cluster_documents, document_texts
from rag_app.retrieve.versions import Wording
from rag_app.text.near_duplicates import NEAR_DUPLICATE, shingles

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

Likeness = Literal["near-duplicate", "version"]


@dataclass(frozen=True, slots=True)
class SecondAnswer:
    """A question whose first passage may answer it as well as the right one.

    Fields:
        found: chunk id that was retrieved first.
        right: chunk id that the label names.
        kind: "near-duplicate": half of the three-word shingles or more are common to both;
            "version": another document of the same title, save for dates and version numbers.
    """

    question_id: str
    found: str
    right: str
    kind: Likeness


def second_answers(outcomes: Iterable[Outcome], nodes: Sequence["TextNode"]) -> list[SecondAnswer]:
    """Missed questions whose first passage is nearly the right one."""
    by_id = {node.node_id: node for node in nodes}
    words = cache(lambda chunk: shingles(by_id[chunk].text))

    def likeness(found: str, right: str) -> Likeness | None:
        one, other = words(found), words(right)
        if len(one & other) >= NEAR_DUPLICATE * len(one | other):
            return "near-duplicate"
        versions = Wording.of(by_id[found]).is_version_of(Wording.of(by_id[right]))
        return "version" if versions else None

    found = []
    for outcome in outcomes:
        first = next(iter(outcome.retrieved), "")
        if outcome.rank == 1 or first not in by_id:
            continue
        rights = sorted({chunk for chunks in outcome.gold for chunk in chunks} & by_id.keys())
        alike = ((right, kind) for right in rights if (kind := likeness(first, right)))
        if (one := next(alike, None)) is not None:
            found.append(SecondAnswer(outcome.question_id, first, *one))
    return found


def near_duplicates(nodes: Sequence["TextNode"]) -> list[list[str]]:
    """Groups of document ids that say nearly the same, the largest first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for document, cluster in cluster_documents(document_texts(nodes)).items():
        groups[cluster].append(document)
    alike = [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(alike, key=lambda group: (-len(group), group))
