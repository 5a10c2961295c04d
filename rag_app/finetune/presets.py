"""Settings that belong together, and the search for the best ones within a time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError, TrainingError
from rag_app.finetune.data.dev import reciprocal_ranks, takes_over
from rag_app.finetune.data.negatives import NegativeKind, NegativeOptions
from rag_app.finetune.options import TrainingOptions, TrainingReport, TrainingRow, tokens_read
from rag_app.finetune.phases import Harms, Workshop, train_phases
from rag_app.finetune.train.methods import ADAPTER, weights_of_layers

if TYPE_CHECKING:
    from rag_app.finetune.data.dev import DevSet, Ranks
    from rag_app.finetune.data.material import Material
    from rag_app.models import EmbeddingModel

# What the command does unless told otherwise.
DEFAULT: dict[str, Any] = {"method": f"full,{ADAPTER}"}
QUICK = "quick"
BEST = "best"
PRESETS = (QUICK, BEST)
# What 2 cores train in two minutes; the map on questions and the vectors for it take the third.
QUICK_FLOP = 4.5e13
# Of a weight and a token: one multiplication and addition forward, two back.
FLOP = 6


def as_quick(
    given: TrainingOptions, rows: Sequence[TrainingRow], base: "EmbeddingModel"
) -> TrainingOptions:
    """Two epochs, or one where two take longer: 1,000 pairs in under 3 minutes on 2 cores.

    A map alone takes seconds, however many.

    Arguments:
        given: what else is set.
        rows: that are trained on.
        base: the model that is trained.
    """
    if given.method == ADAPTER:
        return given
    most = tokens_read(given.max_tokens, base.max_tokens)
    texts = [text for row in rows for text in (row.question, row.passage)]
    tokens = sum(min(count, most) for count in base.count_tokens(texts))
    epoch = FLOP * weights_of_layers(base.transformer) * tokens
    return replace(given, epochs=2 if 2 * epoch <= QUICK_FLOP else 1)


@dataclass(frozen=True)
class Candidate:
    """One way to train: what differs from the given options."""

    method: str = "full"
    learning_rate: float = 5e-5
    negatives: NegativeKind = "none"

    def __str__(self) -> str:
        """Short, for tables."""
        mined = f", {self.negatives} negatives" if self.negatives != "none" else ""
        return f"{self.method} {self.learning_rate:.0e}{mined}"

    def options(self, given: TrainingOptions, epochs: int) -> TrainingOptions:
        """Those given, but for the candidate's; what it trains gets a map like the default's."""
        alone = self.method == ADAPTER
        return replace(
            given,
            method=ADAPTER if alone else f"{self.method},{ADAPTER}",
            learning_rate=self.learning_rate,
            epochs=epochs,
            blend=1.0 if alone else None,
        )


CANDIDATES = (
    Candidate(ADAPTER),
    Candidate("full", 5e-5),
    Candidate("full", 2e-5),
    Candidate("full", 1e-4),
    Candidate("full", 5e-5, "mined"),
    Candidate("lora", 5e-4),
    Candidate("top", 1e-4),
)
# Epochs of each round; after each the better half goes on, from the beginning and for longer.
ROUNDS = (1, 4, 10)


@dataclass(frozen=True)
class Tried:
    """One training of the search; `dev_mrr` of what was saved.

    `harmful` says that it was better on dev and certainly worse on questions from elsewhere.
    """

    candidate: str
    epochs: int
    dev_mrr: float
    blend: float
    seconds: float
    chosen: bool
    harmful: bool = False


@dataclass(frozen=True)
class Search:
    """What the search found, and all that it tried."""

    model: "EmbeddingModel"
    report: TrainingReport
    options: TrainingOptions
    tried: list[Tried]


@dataclass(frozen=True)
class Trial:
    """One training that is done, and the ranks of the dev questions with it."""

    name: str
    options: TrainingOptions
    model: "EmbeddingModel"
    report: TrainingReport
    ranks: "Ranks"

    @property
    def score(self) -> float:
        """MRR@10 on dev."""
        return float(self.ranks.mean())

    def seconds_of(self, epochs: int, rows: int) -> float:
        """What it would take with so many epochs."""
        more = epochs - self.options.epochs
        return self.report.seconds + more * rows / self.report.pairs_per_second


class Contest:
    """Trainings on the same pairs, in the order in which they were tried."""

    def __init__(
        self, base: "EmbeddingModel", material: "Material", dev: "DevSet", shop: Workshop
    ) -> None:
        self.base = base
        self.material = material
        self.dev = dev
        self.shop = shop
        self.trials: list[Trial] = []
        self.harmful: list[Trial] = []
        self.failed: TrainingError | None = None

    def attempt(
        self,
        name: str,
        options: TrainingOptions,
        negatives: NegativeOptions,
        harms: Harms = lambda _: False,
    ) -> Trial | None:
        """Train so; None where that does not fit the model."""
        shop = self.shop
        shop.progress("search", len(self.trials), 0, f"{name}, {options.epochs} epochs")
        try:
            model, report = train_phases(
                self.base, self.material, options, negatives, shop, harms=harms
            )
        except TrainingError as error:
            self.failed = error
            return None
        ranks = reciprocal_ranks(
            shop.cache.embed_queries(model, self.dev.questions),
            shop.cache.embed_passages(model, self.dev.passages),
            self.dev.gold,
        )
        model.unload()
        self.trials.append(Trial(name, options, model, report, ranks))
        return self.trials[-1]

    def winner(self, harms: Harms) -> Trial:
        """The best that is better than the first by more than a standard error and does no harm.

        If there is none, the first.
        """
        if self.failed and not self.trials:
            raise self.failed
        first, *others = self.trials
        for trial in sorted(others, key=lambda trial: -trial.score):
            if not takes_over(first.ranks, trial.ranks):
                continue
            if not harms(trial.model):
                return trial
            trial.model.unload()
            self.harmful.append(trial)
        return first


def search_best(
    base: "EmbeddingModel",
    material: "Material",
    options: TrainingOptions,
    negatives: NegativeOptions,
    shop: Workshop,
    *,
    minutes: float,
    candidates: Sequence[Candidate] = CANDIDATES,
    rounds: Sequence[int] = ROUNDS,
    harms: Harms = lambda _: False,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    """Search method, learning rate, epochs, negatives and blend on dev by successive halving.

    Jamieson and Talwalkar 2016, arXiv 1502.07943. What is given comes first, and stays unless
    dev likes another better by more than a standard error: the best of many looks better than it is
    (Breiman et al. 1984). Nor may the other do harm elsewhere, which dev does not see. Nothing is
    begun that would not end in time, by what the same candidate, or else the first training, took
    before. What was trained once is taken up, so the same command again goes on where the time
    ended.

    Arguments:
        harms: whether a model is certainly worse than the base on questions from elsewhere.
    Raises:
        ConfigError: no dev questions to choose by.
        TrainingError: no candidate can train this model.
    """
    if material.dev is None:
        raise ConfigError("--preset best chooses on dev questions; raise --dev-share or add pairs")
    deadline = clock() + 60 * minutes
    contest = Contest(base, material, material.dev, shop)
    contest.attempt("as given", options, negatives, harms)
    running = list(candidates)
    latest: dict[Candidate, Trial] = {}
    for epochs in rounds:
        done: dict[Candidate, Trial] = {}
        for candidate in running:
            like = latest.get(candidate) or next(iter(contest.trials), None)
            if like and clock() + like.seconds_of(epochs, len(material.rows)) > deadline:
                continue
            trial = contest.attempt(
                str(candidate),
                candidate.options(options, epochs),
                replace(negatives, kind=candidate.negatives),
            )
            if trial:
                done[candidate] = latest[candidate] = trial
        ranked = sorted(done, key=lambda candidate: -done[candidate].score)
        running = ranked[: math.ceil(len(ranked) / 2)]
    won = contest.winner(harms)
    tried = [
        Tried(
            trial.name,
            trial.options.epochs,
            trial.score,
            trial.report.blend,
            trial.report.seconds,
            chosen=trial is won,
            harmful=any(trial is one for one in contest.harmful),
        )
        for trial in contest.trials
    ]
    return Search(won.model, won.report, won.options, tried)
