"""From candidates to what is returned: a retriever and the steps after it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed

if TYPE_CHECKING:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor

    from rag_app.index import VectorIndex


@dataclass(frozen=True)
class PipelineStep:
    """What is done to the candidates.

    Fields:
        name: as traces show it.
        postprocessor: LlamaIndex's kind.
        note: says what the step made of a ranking, of what it was given and what it returned.
    """

    name: str
    postprocessor: "BaseNodePostprocessor"
    note: Callable[[Ranking, Ranking], str] | None = None


class Pipeline(TracedRetriever):
    """A retriever and the steps that its candidates go through; `top_k` of them come out."""

    def __init__(
        self,
        retriever: TracedRetriever,
        steps: Sequence[PipelineStep],
        *,
        top_k: int,
    ) -> None:
        self.retriever = retriever
        self.steps = steps
        self.top_k = top_k
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Search for all questions at once, then take each through the steps."""
        rankings = self.retriever.rank(traces)
        for step in self.steps:
            rankings = _apply(step, rankings, traces)
        return [ranking[: self.top_k] for ranking in rankings]


class IndexPipeline(Pipeline):
    """A pipeline over an index, made anew whenever the index was written, by whomever.

    Arguments:
        make: makes it of the index as it is now.
    """

    def __init__(self, index: "VectorIndex", make: Callable[[], Pipeline]) -> None:
        self._index = index
        self._make = make
        index.refresh()
        self._made_of = index.generation
        made = make()
        super().__init__(made.retriever, made.steps, top_k=made.top_k)

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """As a pipeline does, in the index as it is now.

        Raises:
            IndexMissing, IndexMismatch: it was removed, or made anew otherwise.
            ConfigError: a filter names what no chunk has any more.
        """
        self._renew()
        tried = deepcopy(traces)
        rankings = super().rank(tried)
        if self._renew():
            # Written meanwhile: some of what was found may be gone.
            tried = deepcopy(traces)
            with self._index.steady():
                self._renew()
                rankings = super().rank(tried)
        for trace, done in zip(traces, tried, strict=True):
            vars(trace).update(vars(done))
        return rankings

    def _renew(self) -> bool:
        """Make it anew if the index was written since it was made; whether it was."""
        self._index.refresh()
        generation = self._index.generation
        if generation == self._made_of:
            return False
        made = self._make()
        self.retriever, self.steps, self._made_of = made.retriever, made.steps, generation
        return True


def _apply(
    step: PipelineStep, rankings: Sequence[Ranking], traces: Sequence[Trace]
) -> list[Ranking]:
    with timed(traces, step.name) as changed:
        changed += [
            step.postprocessor.postprocess_nodes(ranking, query_str=trace.question)
            for ranking, trace in zip(rankings, traces, strict=True)
        ]
    if step.note is not None:
        for before, after, trace in zip(rankings, changed, traces, strict=True):
            trace.steps[-1] = replace(trace.steps[-1], note=step.note(before, after))
    return changed
