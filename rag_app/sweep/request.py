"""What a sweep is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from rag_app.documents import Columns
from rag_app.errors import ConfigError, refuse_unknown
from rag_app.evaluate.scoring import METRICS
from rag_app.llm.choose import LanguageModelOptions
from rag_app.retrieve import RetrievalOptions
from rag_app.sweep.context import budget_metric
from rag_app.sweep.grid import Grid


@dataclass(frozen=True)
class SweepRequest:
    """What to compare.

    Fields:
        questions: labelled ones; None: those that `rag-app questions` wrote.
        index: whose documents, and the setting to beat; None: the one in service.
        budget_tokens: of context, for the comparison at equal cost.
        metric: what chooses; None: a hit within the budget if settings differ in how much they
            return, else mrr@10.
        test_share: of the questions, for the report; the others choose.
        promote: put the index of a setting that won into service.
        tune: tune each model too, and judge it on the same questions; nothing goes into service.
        retrieval: the present one; its filter and numbers are the same for all.
        columns: of a table of questions.
        llm: whose written questions are looked for first.
        results: folder for what is measured.
    """

    grid: Grid = field(default_factory=Grid)
    questions: Path | None = None
    index: str | None = None
    budget_tokens: int = 1024
    metric: str | None = None
    test_share: float = 0.5
    promote: bool = True
    tune: bool = False
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    columns: Columns = Columns()
    llm: LanguageModelOptions = LanguageModelOptions()
    seed: int = 13
    results: Path = Path("storage/results")

    def __post_init__(self) -> None:
        """Refuse what no sweep can be asked for.

        Raises:
            ConfigError: a share that leaves a part empty, or an unknown metric.
        """
        if not 0 < self.test_share < 1:
            raise ConfigError(
                f"--test-share is {self.test_share:g}; it takes a number between 0 and 1, since "
                "some questions choose and the others report"
            )
        if self.metric is not None:
            known = (*METRICS, budget_metric(self.budget_tokens))
            refuse_unknown("--metric", self.metric, known)
