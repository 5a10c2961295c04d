"""What others found, scored by late interaction."""

from collections.abc import Sequence
from functools import partial

from rag_app.retrieve.hybrid import rescored
from rag_app.retrieve.tokens.vectors import PassageTokens
from rag_app.retrieve.trace import Ranking, Trace, timed
from rag_app.vectors import TokenEmbedder, TokenEmbeddings


class TokenScorer:
    """Ranks candidates by MaxSim over the tokens of question and passage.

    Nothing is searched for: whatever the number of chunks, only the tokens of the candidates are
    compared with.
    """

    def __init__(self, tokens: PassageTokens, model: TokenEmbedder) -> None:
        self.tokens = tokens
        self.model = model

    def score(self, candidates: Sequence[Ranking], traces: Sequence[Trace]) -> list[Ranking]:
        """The candidates of each question, best first; those without tokens are left out."""
        with timed(traces, "token") as rankings:
            questions = self._embedded(traces)
            for hits, question in zip(candidates, questions, strict=True):
                rankings.append(rescored(hits, partial(self.tokens.scores, question)))
        return rankings

    def _embedded(self, traces: Sequence[Trace]) -> list[TokenEmbeddings]:
        """The tokens of what is asked; what reads like a passage, embedded as one."""
        model, found = self.model, dict[int, TokenEmbeddings]()
        for as_passage in (False, True):
            places = [n for n, trace in enumerate(traces) if trace.as_passage is as_passage]
            embed = model.embed_passage_tokens if as_passage else model.embed_query_tokens
            texts = [traces[place].question for place in places]
            found |= zip(places, embed(texts) if texts else [], strict=True)
        return [found[place] for place in range(len(traces))]
