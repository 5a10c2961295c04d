"""Settings -> scores on dev and on test."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.evaluate.learning import learn_weights
from rag_app.evaluate.scoring import Outcome
from rag_app.pairs import Pair, Question, build_questions
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.sweep.context import DEPTH, score_with_budget
from rag_app.sweep.weight import tune_weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rag_app.chunks import PassageModel
    from rag_app.index import VectorCache
    from rag_app.progress import Progress
    from rag_app.sweep.grid import Setting
    from rag_app.sweep.indexes import Built, IndexBuilder

# Questions asked one at a time, as a user does, to see how long each takes.
TIMED = 30
WARM_UP = 3
SHOWN = 5


@dataclass(frozen=True)
class Candidate:
    """A setting with its index, as far as it has come.

    Fields:
        setting: with the weight of its hybrid found, if it has one.
        dev, test: outcomes; None where it was not asked.
        milliseconds: median time of one question, asked of the index as the REPL does.
    """

    setting: "Setting"
    built: "Built"
    dev: list[Outcome]
    test: list[Outcome] | None = None
    milliseconds: float | None = None

    def mean(self, metric: str) -> float:
        """Mean of a metric over dev."""
        return statistics.fmean(outcome.values[metric] for outcome in self.dev)


class Scorer:
    """Asks settings the same questions, each over the chunks of its own index.

    Arguments:
        clusters: document id -> cluster.
        counting: the model whose tokens the budget is counted in, whatever model searches.
    """

    def __init__(
        self,
        builder: "IndexBuilder",
        clusters: "Mapping[str, str]",
        *,
        tools: Tools,
        cache: "VectorCache",
        budget_tokens: int,
        counting: "PassageModel",
        progress: "Progress",
        seed: int,
    ) -> None:
        self._builder = builder
        self._clusters = clusters
        self._tools = tools
        self._cache = cache
        self._budget = budget_tokens
        self._counting = counting
        self._progress = progress
        self._seed = seed
        self._in_memory: dict[str, Searched] = {}
        # By the name of a setting whose weights were to be learned: what came of it.
        self.learned: dict[str, str] = {}

    def on_dev(self, setting: "Setting", pairs: Sequence[Pair]) -> Candidate:
        """Build the index if need be, find the weights of a hybrid, and score."""
        built = self._builder.build(self._builder.judged(setting.model), setting.chunking)
        questions = self._questions(built, pairs)
        searched = self._searched(built)
        if setting.retrieval.hybrid_weight is None:
            weight = tune_weight(searched, setting.retrieval, questions, self._tools)
            retrieval = replace(setting.retrieval, hybrid_weight=weight)
            setting = replace(setting, retrieval=retrieval)
        if setting.retrieval.to_be_learned:
            retrieval, reason = learn_weights(
                searched,
                setting.retrieval,
                questions,
                self._tools,
                learned_on="rag-app sweep",
                seed=self._seed,
            )
            self.learned[setting.name] = reason
            setting = replace(setting, retrieval=retrieval)
        return Candidate(setting, built, self._score(setting.retrieval, built, questions))

    def on_test(self, candidate: Candidate, pairs: Sequence[Pair]) -> Candidate:
        """Score what is reported, and time single questions."""
        questions = self._questions(candidate.built, pairs)
        retrieval = candidate.setting.retrieval
        return replace(
            candidate,
            test=self._score(retrieval, candidate.built, questions),
            milliseconds=self._time(retrieval, candidate.built, questions),
        )

    def _questions(self, built: "Built", pairs: Sequence[Pair]) -> list[Question]:
        return build_questions(pairs, built.passages.nodes, self._clusters)

    def _searched(self, built: "Built") -> Searched:
        """The index in memory, with what a search makes of it, kept for the next setting."""
        searched = Searched(built.index, built.model, built.passages, self._cache, held_out=True)
        return self._in_memory.setdefault(built.index.name, searched)

    def _score(
        self, retrieval: RetrievalOptions, built: "Built", questions: Sequence[Question]
    ) -> list[Outcome]:
        retriever = build_retriever(
            self._searched(built), retrieval, top_k=DEPTH, tools=self._tools
        )
        return score_with_budget(
            retriever,
            questions,
            self._counting,
            budget_tokens=self._budget,
            progress=self._progress,
        )

    def _time(
        self, retrieval: RetrievalOptions, built: "Built", questions: Sequence[Question]
    ) -> float:
        searched = Searched(built.index, built.model, cache=self._cache, held_out=True)
        seconds = []
        # A rewritten question is kept; a user's new question is not there yet.
        with tempfile.TemporaryDirectory() as folder:
            tools = replace(self._tools, storage=Path(folder))
            retriever = build_retriever(searched, retrieval, top_k=SHOWN, tools=tools)
            for question in questions[: WARM_UP + TIMED]:
                started = time.perf_counter()
                retriever.retrieve_many([question.text])
                seconds.append(time.perf_counter() - started)
        return 1000 * statistics.median(seconds[WARM_UP:] or seconds)
