"""From candidates to what is returned: a retriever and the steps after it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed

if TYPE_CHECKING:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor


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
