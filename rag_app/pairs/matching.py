"""Where in an index the answers to labelled questions stand."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.pairs.labelled import LabelledQuestion
from rag_app.pairs.pair import Pair, make_pair
from rag_app.pairs.places import Place, Places, squeeze
from rag_app.text.normalise import normalise

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

# Letters of a passage that may be a part of a document. A shorter one stands there by chance; one
# below the second number does if it stands in two documents, a longer one is a copy there.
MIN_LETTERS = 10
MIN_LETTERS_COPIED = 20
# Characters of a question, and of its answer, in messages.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Unmatched:
    """How many questions of a file have no answer in the index, with one of them."""

    count: int = 0
    of: int = 0
    example: str | None = None

    def __bool__(self) -> bool:
        return self.count > 0

    def and_also(self, other: "Unmatched") -> "Unmatched":
        """Those of two files together, with the example of the first that has one."""
        return Unmatched(
            self.count + other.count, self.of + other.of, self.example or other.example
        )

    def __str__(self) -> str:
        """What the user should know of it."""
        return (
            f"{self.count} of {self.of} questions left out, since their answers are not in the "
            f"index, such as that to {self.example}"
        )


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs whose answers were found, and the questions whose answers were not."""

    pairs: list[Pair]
    unmatched: list[LabelledQuestion]
    of: int = 0

    @property
    def left_out(self) -> Unmatched:
        """The questions without an answer, counted, with the first of them."""
        if not self.unmatched:
            return Unmatched(0, self.of)
        first = self.unmatched[0]
        answer = first.document or first.passage or ""
        example = f"{_cut(first.question)} ({_cut(answer)})"
        return Unmatched(len(self.unmatched), self.of, example)


def match_questions(
    questions: Iterable[LabelledQuestion], chunks: Sequence["TextNode"]
) -> Matching:
    """Find where each labelled question's answer stands.

    A question that names a document is answered by its evidence there, or without evidence by the
    whole document; a name is an id or an ending that only one id has ("orders/pickup.md" for
    "en/orders/pickup.md", "17" for "beir/corpus.jsonl#17"). Otherwise the question's passage is
    looked for: as a whole document, then inside of one. What is asked twice of one place is merged.

    Arguments:
        chunks: every chunk of the index.
    """
    questions = list(questions)
    places = Places(chunks)
    found: dict[tuple[str, str], dict[Place, LabelledQuestion]] = defaultdict(dict)
    unmatched = []
    for question in questions:
        place = _place(question, places)
        if place is None:
            unmatched.append(question)
        else:
            found[question.question, place.document_id].setdefault(place, question)
    pairs = [pair for same in found.values() for pair in _merge(same, places)]
    return Matching(pairs, unmatched, of=len(questions))


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _merge(same: dict[Place, LabelledQuestion], places: Places) -> list[Pair]:
    """Pairs of one question and one document; spans that make up all of it are the whole."""
    whole, first = next(iter(same.items()))
    spans = [place for place in same if place.start is not None]
    if not spans or (len(spans) > 1 and places.fill(spans)):
        return [make_pair(first.question, whole.document_id, None, None, first.origin)]
    return [
        make_pair(first.question, place.document_id, place.start, place.end, same[place].origin)
        for place in spans
    ]


def _place(question: LabelledQuestion, places: Places) -> Place | None:
    place = _named_place(question, places) if question.document else None
    if place is None and question.passage:
        place = _passage_place(question.passage, places)
    return place


def _named_place(question: LabelledQuestion, places: Places) -> Place | None:
    """The answer's place in the document, or the chunk, that the question names."""
    named = places.named(str(question.document))
    if named is None:
        return None
    if question.evidence or question.start is not None:
        return _evidence_place(question, named.document_id, places)
    passage = normalise(question.passage or "")
    if not passage or squeeze(passage) == squeeze(places.text(named)):
        return named
    # A foreign dataset's "17" may be the id of something else here: then nothing is found.
    return places.within(named.document_id, passage)


def _evidence_place(question: LabelledQuestion, document_id: str, places: Places) -> Place | None:
    given = places.span(document_id, question.start, question.end)
    if not question.evidence:
        return given
    evidence = normalise(question.evidence)
    if given is not None and squeeze(evidence) in squeeze(places.text(given)):
        return given
    return places.within(document_id, evidence)


def _passage_place(passage: str, places: Places) -> Place | None:
    squeezed = squeeze(normalise(passage))
    whole = places.equal(squeezed)
    if whole is not None or len(squeezed) < MIN_LETTERS:
        return whole
    return places.containing(squeezed, only=len(squeezed) < MIN_LETTERS_COPIED)
