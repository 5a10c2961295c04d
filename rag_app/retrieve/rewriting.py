"""A retriever that also asks what a language model made of the question."""

from collections.abc import Sequence

from rag_app.retrieve.fusion import fuse_scores
from rag_app.retrieve.rewrite import Rewriter, Rewritten
from rag_app.retrieve.trace import Ranking, Step, Trace, TracedRetriever, timed

# Share of the question itself, among its rewrites.
OWN_WEIGHT = 0.5


class RewritingRetriever(TracedRetriever):
    """Asks another retriever the question and its rewrites, and fuses what they found.

    The question has half of the weight, the rewrites share the other half.

    Arguments:
        depth: candidates that `retriever` was made to return.
    """

    def __init__(self, retriever: TracedRetriever, rewriter: Rewriter, *, depth: int) -> None:
        self.retriever = retriever
        self.rewriter = rewriter
        self.depth = depth
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Rewrite, ask everything at once, fuse; without a rewrite the question stands alone."""
        rewritten = self._rewrite(traces)
        kind = self.rewriter.kind
        others = [
            [Trace(text, as_passage=kind == "hyde") for text in each.texts] for each in rewritten
        ]
        asked = [*traces, *(trace for each in others for trace in each)]
        found = self.retriever.rank(asked)
        rest = iter(found[len(traces) :])
        groups = [[next(rest) for _ in each] for each in others]
        for trace, each in zip(traces, others, strict=True):
            trace.steps += [
                Step(step.name, step.seconds, step.scores, f"{kind}: {other.question}")
                for other in each
                for step in other.steps
            ]
        with timed(traces, "fusion") as rankings:
            rankings += [
                self._fuse(own, group) if group else own
                for own, group in zip(found, groups, strict=False)
            ]
        return rankings

    def _rewrite(self, traces: Sequence[Trace]) -> list[Rewritten]:
        with timed(traces, self.rewriter.kind) as nothing:
            rewritten = self.rewriter.rewrite([trace.question for trace in traces])
            nothing += [[] for _ in traces]
        for trace, each in zip(traces, rewritten, strict=True):
            trace.model_calls += each.asked
            trace.rewrites += each.texts
            if each.failure:
                trace.warnings.append(
                    f"the question was asked as it stands: the language model did not rewrite it "
                    f"({each.failure})"
                )
        return rewritten

    def _fuse(self, own: Ranking, others: Sequence[Ranking]) -> Ranking:
        weights = [OWN_WEIGHT, *[(1 - OWN_WEIGHT) / len(others)] * len(others)]
        return fuse_scores([own, *others], weights, self.depth)
