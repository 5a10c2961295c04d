"""What a report reads of the summaries that runs wrote; keys that it does not know may be there."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rag_app.evaluate.collection import SecondAnswer
from rag_app.evaluate.scoring import METRICS
from rag_app.evaluate.statistics import Difference, Estimate

T = TypeVar("T", bound=Mapping[str, Any])

Scores = dict[str, Estimate]


def _whole(scores: T) -> T:
    """Refuse scores or differences that lack a metric, which all runs have."""
    lacking = [metric for metric in METRICS if metric not in scores]
    if lacking:
        raise ValueError(f"{', '.join(lacking)} is missing")
    return scores


AllScores = Annotated[Scores, AfterValidator(_whole)]
Differences = Annotated[dict[str, Difference], AfterValidator(_whole)]


class Values(BaseModel):
    """A summary, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def judged_file(self) -> str:
        """File with the outcomes that a run is about."""
        return ""


class ComparedValues(Values):
    """Base against tuned."""

    n: int = 0
    base: AllScores
    tuned: AllScores
    differences: Differences


class BothScores(Values):
    """Base and tuned without a comparison."""

    base: AllScores
    tuned: AllScores


class Cut(Values):
    """Passages that training did not read to the end."""

    count: int
    of: int
    max_tokens: int


class Training(Values):
    """What training measured."""

    seconds: float
    pairs_per_second: float
    peak_memory_mb: int
    device: str
    best_epoch: int
    epochs: int | None = None
    dev_mrr: list[float] = []
    losses: list[float] = []


class Form(Values):
    """A milder form of the tuned model that was tried for the canary."""

    name: str
    dev_mrr: float | None = None
    dev_gain: float | None = None
    canary: Difference
    chosen: bool = False


class FinetuneValues(Values):
    """finetune.json; a reranker's has no canary, refit, or index of its own."""

    model: str
    base_model: str
    verdict: str
    reason: str
    promoted: bool | None = False
    split: dict[str, int]
    folds: int = 1
    test_is_given: bool = False
    repeat_test: int = 0
    training_pairs: int
    unmatched: int = 0
    unmatched_example: str | None = None
    self_answering: int = 0
    cut_passages: Cut | None = None
    held_out: dict[str, ComparedValues] = Field(min_length=1)
    retriever: str = "vector"
    learned: str = ""
    parts: dict[str, ComparedValues] = {}
    known_questions: ComparedValues | None = None
    plain_encode: AllScores | None = None
    refit: dict[str, Any] | None = None
    on_training_questions: BothScores | None = None
    canary: ComparedValues | None = None
    canary_use: str = "none"
    frontier: list[Form] = []
    weakened: int = 0
    options: dict[str, Any] = {}
    training: Training
    seconds: float
    ann_recall: float | None = Field(None, alias="ann_recall@10")
    ms_per_question: float | None = None
    fetch_k: int | None = None

    @property
    def judged_file(self) -> str:
        """The tuned model's."""
        return "tuned.jsonl"

    @property
    def is_reranker(self) -> bool:
        """Whether a cross-encoder was tuned, which makes no vectors."""
        return self.ms_per_question is not None

    @property
    def asked_retriever(self) -> str:
        """As it was asked for; `retriever` is what it came to, of folds in the first."""
        names = (name for name in self.parts if name not in self.tuned_alone)
        return next((name.partition(", ")[2] for name in names), self.retriever)

    @property
    def tuned_alone(self) -> dict[str, Scores]:
        """The tuned model's with vector search, by name, where its retriever is another one."""
        return {name: one.tuned for name, one in self.parts.items() if name.startswith("tuned")}

    @property
    def tuned_vector(self) -> Scores:
        """The tuned model's with vector search, on the first kind of held-out questions."""
        first = next(iter(self.held_out.values()))
        return next(iter(self.tuned_alone.values()), first.tuned)

    @property
    def seed(self) -> int:
        """That of the run."""
        return int(self.options.get("seed", 13))


class ScoredValues(Values):
    """A run of evaluate or sweep; in the file its metrics stand beside its other keys."""

    name: str
    model: str
    retriever: str
    n: int
    scores: AllScores
    outcomes: str | None = None

    @property
    def file_name(self) -> str:
        """Of its outcomes."""
        return self.outcomes or f"{self.name}.jsonl"

    @model_validator(mode="before")
    @classmethod
    def _metrics_together(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {**values, "scores": {key: one for key, one in values.items() if "@" in key}}


class AgainstFirst(Values):
    """A run of evaluate against the first."""

    differences: Differences
    verdict: str | None = None
    reason: str


class EvaluatedValues(ScoredValues):
    """A run of evaluate."""

    seconds: float
    trained_on: int = 0
    known_questions: str | None = None
    known_asked: int | None = None
    warnings: dict[str, int] = {}
    against_first: AgainstFirst | None = None


class EvaluateValues(Values):
    """evaluate.json."""

    runs: list[EvaluatedValues] = Field(min_length=1)
    unmatched: int = 0
    unmatched_example: str | None = None

    @property
    def judged_file(self) -> str:
        """That of the last run."""
        return self.runs[-1].file_name


class SweptValues(ScoredValues):
    """A setting of a sweep."""

    chunk_size: int
    chunk_overlap: int
    chunks: int
    megabytes: float | None = None
    build_seconds: float | None = None
    milliseconds: float | None = None
    dev: float
    change: Difference | None = None
    p_holm: float | None = None


class Recommended(Values):
    """What a sweep recommends."""

    name: str
    wins: bool
    reason: str


class Primary(Values):
    """The metric that models are compared by."""

    mrr: Estimate = Field(alias="mrr@10")


class BaseValues(Values):
    """A model of `sweep --tune`, untuned and tuned."""

    model: str
    untuned: Primary
    tuned: Primary
    change: Difference
    embed_seconds_per_1000: float
    milliseconds: float | None = None


class BasesValues(Values):
    """What `sweep --tune` found."""

    runs: list[BaseValues]
    reasons: list[str] = []


class SweepValues(Values):
    """sweep.json."""

    metric: str
    split: dict[str, int]
    unmatched: int = 0
    unmatched_example: str | None = None
    trained_on: int = 0
    runs: list[SweptValues] = Field(min_length=1)
    recommended: Recommended
    best_on_dev: str
    bases: BasesValues | None = None
    promoted: bool | None = False
    seconds: float

    @property
    def best(self) -> SweptValues:
        """The setting that wins, or is first on the questions that chose."""
        return next((one for one in self.runs if one.name == self.best_on_dev), self.runs[0])

    @property
    def judged_file(self) -> str:
        """That of the best setting."""
        return self.best.file_name


class Groups(Values):
    """Near-duplicate documents: how many groups there are, and the documents of some."""

    groups: int = 0
    named: list[list[str]] = []


class Collection(Values):
    """collection.json."""

    indexes: list[dict[str, Any]] = []
    near_duplicates: Groups = Groups()
    second_answers: list[SecondAnswer] = []
