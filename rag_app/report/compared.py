"""Two rankings of the same questions, as a report shows them side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rag_app.errors import RunError
from rag_app.evaluate.folds import how_many
from rag_app.evaluate.kept_passages import KeptPassage
from rag_app.evaluate.scoring import Outcome, pair_outcomes
from rag_app.evaluate.statistics import Difference, Estimate


@dataclass(frozen=True)
class Side:
    """One ranking.

    Fields:
        label: a word or two: "base", "tuned", a setting.
        passages: beginnings of what it retrieved, by chunk id.
    """

    label: str
    outcomes: list[Outcome]
    scores: dict[str, Estimate]
    passages: dict[str, KeptPassage]


@dataclass(frozen=True)
class Compared:
    """Before and after on the same questions.

    Fields:
        asked: what the questions are, such as "new questions about new documents".
        differences: after minus before by metric, as far as they were measured.
        between: scores of what stands between both, by label; its questions are not kept.
    """

    asked: str
    before: Side
    after: Side
    differences: dict[str, Difference]
    seed: int = 13
    between: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> list[tuple[Outcome, Outcome]]:
        """Each question's outcomes, before and after.

        Raises:
            RunError: their files are not of the same questions.
        """
        try:
            return pair_outcomes(self.before.outcomes, self.after.outcomes)
        except ValueError as error:
            raise RunError(
                f"the outcomes of {self.before.label} and {self.after.label} do not belong "
                f"together: {error}; run again what wrote them"
            ) from error

    @property
    def n(self) -> int:
        """Number of questions; one that several folds asked counts once."""
        return how_many(self.after.outcomes)

    @property
    def is_alone(self) -> bool:
        """Whether there is only one ranking, so that nothing is compared."""
        return self.before is self.after
