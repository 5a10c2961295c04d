"""Questions one by one: fixed, broken, still missed, and what stands where the answer should."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Literal

from rag_app.evaluate.changes import took_its_place
from rag_app.evaluate.kept_passages import KeptPassage, shortened
from rag_app.evaluate.ranks import reciprocal
from rag_app.evaluate.scoring import Outcome
from rag_app.report.compared import Compared

# Passages that a question brings in the REPL unless told otherwise: what is not among them is
# missed by its reader.
SHOWN_PASSAGES = 5
LISTED = 1_000
# Bytes of all texts of the list as a page has them: it stays below 2 MB, whatever they hold.
LISTED_BYTES = 1_200_000
LONGEST_QUESTION = 300
LONGEST_PASSAGE = 150

State = Literal["fixed", "broken", "still missed", "found in both"]
STATES: tuple[State, ...] = ("broken", "fixed", "still missed", "found in both")


@dataclass(frozen=True)
class Shown:
    """The beginning of a passage, with its score in the ranking that it is shown from.

    Fields:
        uri: of its file, at the page of a PDF; empty where it is not known.
    """

    title: str
    text: str
    score: float | None = None
    uri: str = ""


@dataclass(frozen=True)
class QuestionRow:
    """A question with its right passage, what took its place, and both ranks.

    Fields:
        instead: None where the right passage stands first, or nothing was retrieved.
        also_right: why the first passage may answer as well; empty where nothing says so.
        asked: what kind of question it is, where there are several.
        steps: of a retrieval of several steps, the ranks there of both passages; see `Outcome`.
        step_scores: their scores there, also where the other passage is not the first.
    """

    question: str
    right: Shown
    instead: Shown | None
    before: int | None
    after: int | None
    also_right: str = ""
    asked: str = ""
    steps: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict, hash=False)
    step_scores: Mapping[str, tuple[float | None, float | None]] = field(
        default_factory=dict, hash=False
    )

    @property
    def state(self) -> State:
        """By the passages that are shown."""
        return state_of(self.before, self.after, SHOWN_PASSAGES)

    @property
    def size(self) -> int:
        """Bytes of its texts, escaped, in UTF-8."""
        texts = [self.question, self.right.title, self.right.text, self.right.uri, self.also_right]
        if self.instead:
            texts += [self.instead.title, self.instead.text, self.instead.uri]
        return sum(len(escape(text).encode("utf-8", "replace")) for text in texts)


@dataclass(frozen=True)
class QuestionList:
    """The questions that tell most.

    Fields:
        counts: of all questions, by state.
        before, after: labels of the two rankings; the same where there is one.
        left_out: questions that are not listed.
    """

    rows: list[QuestionRow]
    counts: dict[State, int]
    before: str
    after: str
    left_out: int

    @property
    def is_alone(self) -> bool:
        """Whether there is only one ranking."""
        return self.before == self.after


def state_of(before: int | None, after: int | None, k: int) -> State:
    """What became of a question whose right passage had these ranks, looking at the first k."""
    was, now = before is not None and before <= k, after is not None and after <= k
    if was and now:
        return "found in both"
    if was or now:
        return "fixed" if now else "broken"
    return "still missed"


def question_list(every: Sequence[Compared], also_right: Mapping[str, str]) -> QuestionList:
    """What broke, then what was fixed, what is still missed, and the rest; the most moved first.

    Arguments:
        every: the same two rankings, of one or of several kinds of questions.
        also_right: question id -> why its first passage may answer it as well.
    """
    asked = [(compared, *pair) for compared in every for pair in compared.pairs]
    asked.sort(key=lambda one: _order(one[1], one[2]))
    counts = Counter(_state(before, after) for _, before, after in asked)
    rows: list[QuestionRow] = []
    used = 0
    for compared, before, after in asked[:LISTED]:
        row = _row(compared, before, after, also_right.get(after.question_id, ""))
        row = replace(row, asked=compared.asked if len(every) > 1 else "")
        used += row.size
        if used > LISTED_BYTES:
            break
        rows.append(row)
    return QuestionList(
        rows=rows,
        counts={state: counts[state] for state in STATES},
        before=every[0].before.label,
        after=every[0].after.label,
        left_out=len(asked) - len(rows),
    )


def _state(before: Outcome, after: Outcome) -> State:
    return state_of(before.rank, after.rank, SHOWN_PASSAGES)


def _order(before: Outcome, after: Outcome) -> tuple[int, float, str]:
    moved = abs(reciprocal(after.rank) - reciprocal(before.rank))
    return STATES.index(_state(before, after)), -moved, before.question_id


def _row(compared: Compared, before: Outcome, after: Outcome, also_right: str) -> QuestionRow:
    # Both passages and their scores are those of the ranking in which the right one stands worse.
    was_better = reciprocal(before.rank) >= reciprocal(after.rank)
    side, outcome = (compared.after, after) if was_better else (compared.before, before)
    gold = {chunk for chunks in outcome.gold for chunk in chunks}
    right = next((chunk for chunk in outcome.retrieved if chunk in gold), min(gold, default=""))
    instead = took_its_place(before, after)
    return QuestionRow(
        question=shortened(after.question, LONGEST_QUESTION),
        right=_shown(side.passages, right, outcome),
        instead=_shown(side.passages, instead, outcome) if instead else None,
        before=before.rank,
        after=after.rank,
        also_right=also_right,
        steps=outcome.steps if instead and outcome.retrieved[:1] == [instead] else {},
        step_scores=_step_scores(outcome, instead) if instead else {},
    )


def _step_scores(outcome: Outcome, instead: str) -> dict[str, tuple[float | None, float | None]]:
    """Scores of the right passage and of the one in its place, where they are kept."""
    if instead not in outcome.retrieved:
        return {}
    place = outcome.retrieved.index(instead) + 1
    return {
        name: (scores[0], scores[place])
        for name, scores in outcome.step_scores.items()
        if place < len(scores)
    }


def _shown(passages: dict[str, KeptPassage], chunk: str, outcome: Outcome) -> Shown:
    found = chunk in outcome.retrieved
    score = outcome.scores[outcome.retrieved.index(chunk)] if found else None
    kept = passages.get(chunk)
    if kept is None:
        return Shown("", f"passage {chunk}" if chunk else "no passage of the index", score)
    return Shown(
        shortened(kept.name, LONGEST_PASSAGE),
        shortened(kept.text, LONGEST_PASSAGE),
        score,
        kept.uri,
    )
