"""Third step: what the held-out questions of all splits say together, and the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_app.evaluate.comparison import Comparison, compare_outcomes
from rag_app.evaluate.evidence import AskedIndex, keep_evidence
from rag_app.evaluate.figures import change_with_interval
from rag_app.evaluate.folds import fold_numbers, of_fold
from rag_app.evaluate.scoring import Outcome, write_outcomes
from rag_app.evaluate.statistics import Estimate, difference, summarise
from rag_app.evaluate.verdict import (
    LEVEL,
    PRIMARY_METRIC,
    Verdict,
    certainly_fell,
    certainly_rose,
    guard,
    of_both,
)
from rag_app.finetune.trial import TUNED, BaseAndTuned, Trial
from rag_app.pairs import HeldOut

# What a comparison promises, by what is new about its questions.
PROMISES: dict[HeldOut, str] = {
    "documents": "new questions about new documents",
    "questions": "new questions about known documents",
}


@dataclass(frozen=True)
class Judgement:
    """What held-out questions say.

    Fields:
        held_out: base against tuned, by what is new about the questions; base with vector search,
            tuned with the retriever that the verdict is about.
        parts: base with vector search against what stands between it and that, by name, on the
            questions of `comparison`; nothing where tuned is searched by vectors, too.
        training_scores: the same on the training questions, which is no measure of quality.
        plain: scores on the test questions of plain `encode`, which leaves out prompts and the
            query adapter; None where it gives the same vectors.
        known: on questions about known documents, tuned with its retriever by itself against the
            same behind the questions of training as known ones; None where that is not asked.
        canary: base against tuned on out-of-domain questions.
        canary_skipped: why there is no canary; empty if there is one.
    """

    held_out: dict[HeldOut, Comparison]
    parts: dict[str, Comparison]
    training_scores: Comparison
    plain: dict[str, Estimate] | None
    canary: Comparison | None
    canary_skipped: str
    verdict: Verdict
    known: Comparison | None = None

    @property
    def comparison(self) -> Comparison:
        """On questions about new documents, or where none are held out, about known ones."""
        return next(iter(self.held_out.values()))

    @property
    def serves_known(self) -> bool:
        """Whether known questions are searched in service: where that does no certain harm."""
        return self.known is None or not certainly_fell(self.known.differences)

    @property
    def tuned_vector(self) -> dict[str, Estimate]:
        """Scores of the tuned model with vector search, on the questions of `comparison`."""
        return next(
            (one.tuned for name, one in self.parts.items() if name.startswith(TUNED)),
            self.comparison.tuned,
        )


def judge(
    trials: Sequence[Trial], *, seed: int, canary_skipped: str = "", canary_guards: bool = True
) -> Judgement:
    """Pool the outcomes of all splits, and decide.

    Arguments:
        trials: one, or one for each fold.
        canary_guards: what certainly fell out of domain is held.
    """
    held_out, verdict = judge_held_out([trial.held_out for trial in trials], seed=seed)
    first = next(iter(held_out))
    parts = {
        name: _compared(
            [BaseAndTuned(trial.held_out[first].base, trial.parts[name]) for trial in trials],
            seed=seed,
        )
        for name in trials[0].parts
    }
    verdict = name_uncertain_parts(verdict, held_out[first], parts, seed=seed)
    watched = [trial.canary for trial in trials]
    canary = _compared(watched, seed=seed) if any(watched) else None
    if canary and canary_guards:
        verdict = guard(verdict, canary.differences, milder=_all_fell(trials))
    plain = [trial.plain for trial in trials]
    known = [trial.known for trial in trials]
    return Judgement(
        held_out=held_out,
        parts=parts,
        training_scores=_compared([trial.training for trial in trials], seed=seed),
        plain=summarise(_pooled(plain), seed=seed) if any(plain) else None,
        canary=canary,
        canary_skipped=canary_skipped,
        verdict=verdict,
        known=_compared(known, seed=seed) if any(known) else None,
    )


def judge_held_out(
    splits: Sequence[Mapping[HeldOut, BaseAndTuned]], *, seed: int
) -> tuple[dict[HeldOut, Comparison], Verdict]:
    """What held-out questions alone say: by what is new about them, and the decision of both.

    Arguments:
        splits: outcomes of one split, or of each fold.
    """
    kinds = list(dict.fromkeys(what for split in splits for what in split))
    held_out = {
        what: _compared(
            [split.get(what) for split in splits],
            seed=seed,
            asked=PROMISES[what],
            level=LEVEL / len(kinds),
        )
        for what in kinds
    }
    verdicts = [comparison.verdict for comparison in held_out.values()]
    return held_out, of_both(*verdicts) if len(verdicts) > 1 else verdicts[0]


def keep_held_out(
    folder: Path, held_out: Mapping[HeldOut, Comparison], indexes: Sequence[AskedIndex]
) -> None:
    """Write every held-out question's outcomes, and what a report shows of them.

    Those that `Judgement.comparison` is about are base.jsonl and tuned.jsonl; those of another kind
    have its name in theirs, as in base-questions.jsonl.

    Arguments:
        indexes: of the base and of the tuned model.
    """
    first, *others = held_out
    held_out[first].write(folder)
    for what in others:
        write_outcomes(folder / f"base-{what}.jsonl", held_out[what].base_outcomes)
        write_outcomes(folder / f"tuned-{what}.jsonl", held_out[what].tuned_outcomes)
    every = list(held_out.values())
    keep_evidence(
        folder,
        indexes,
        [outcome for one in every for outcome in one.tuned_outcomes],
        others=[outcome for one in every for outcome in one.base_outcomes],
    )


def name_uncertain_parts(
    verdict: Verdict, whole: Comparison, parts: Mapping[str, Comparison], *, seed: int
) -> Verdict:
    """The same verdict, which says what may add nothing to a gain of model and retriever together.

    Whoever gets all of a gain from the retriever need not tune, nor serve a tuned model.

    Arguments:
        whole: base with vector search against the tuned model with its retriever.
        parts: base with vector search against what stands between these two.
    """
    said = [verdict.reason]
    for name, part in parts.items() if verdict.decision == "promote" else ():
        change = difference(
            part.tuned_outcomes,
            whole.tuned_outcomes,
            PRIMARY_METRIC,
            seed=seed,
            folds=fold_numbers(whole.tuned_outcomes),
        )
        if not certainly_rose(change):
            added = "the retriever" if name.startswith(TUNED) else "the tuned model"
            said.append(
                f"{added} itself adds nothing certain ({change_with_interval(change)} over {name})"
            )
    return Verdict(verdict.decision, "; ".join(said))


def _all_fell(trials: Sequence[Trial]) -> list[str]:
    """Forms milder than what was trained, by name, where on no split one of them did no harm."""
    if not all(trial.frontier and trial.frontier[-1].harms for trial in trials):
        return []
    return [candidate.name for candidate in trials[0].frontier[1:]]


def _compared(
    splits: "Sequence[BaseAndTuned | None]",
    *,
    seed: int,
    asked: str = "",
    level: float = LEVEL,
) -> Comparison:
    before = _pooled([one.base if one else None for one in splits])
    after = _pooled([one.tuned if one else None for one in splits])
    return compare_outcomes(
        before, after, seed=seed, folds=fold_numbers(before), asked=asked, level=level
    )


def _pooled(splits: Sequence[list[Outcome] | None]) -> list[Outcome]:
    """Outcomes of all splits; a question that several asked is told apart by their numbers."""
    if len(splits) == 1:
        return list(splits[0] or ())
    return [
        outcome
        for number, split in enumerate(splits, 1)
        for outcome in of_fold(split or (), number)
    ]
