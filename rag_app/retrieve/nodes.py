"""Hits that are ids and scores until it is known which of them are wanted.

A hybrid looks at two hundred candidates, and with rewrites at eight hundred, of which ten are
returned. Reading a chunk from the store and making a node of it takes far longer than finding it.
"""

from collections.abc import Callable, Mapping, Sequence

from llama_index.core.schema import NodeWithScore, TextNode

from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever

Fetch = Callable[[Sequence[str]], Sequence[TextNode]]


def id_only_nodes(chunk_ids: Sequence[str]) -> list[TextNode]:
    """Nodes that have nothing but their ids."""
    return [TextNode(id_=chunk_id) for chunk_id in chunk_ids]


def id_only_hits(scores: Mapping[str, float]) -> Ranking:
    """Hits on nodes with ids only."""
    nodes = id_only_nodes(list(scores))
    return [NodeWithScore(node=n, score=s) for n, s in zip(nodes, scores.values(), strict=True)]


class WithNodes(TracedRetriever):
    """Puts the chunks in the place of another retriever's best hits, nodes with ids only.

    Arguments:
        fetch: chunk ids -> their nodes, in any order; a chunk that is gone is left out.
        top_k: hits of each ranking that are kept.
    """

    def __init__(self, retriever: TracedRetriever, fetch: Fetch, *, top_k: int) -> None:
        self.retriever = retriever
        self.fetch = fetch
        self.top_k = top_k
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Rank, cut, and fetch what is left of all rankings at once."""
        rankings = [ranking[: self.top_k] for ranking in self.retriever.rank(traces)]
        wanted = dict.fromkeys(hit.node.node_id for ranking in rankings for hit in ranking)
        nodes = {node.node_id: node for node in self.fetch(list(wanted))}
        return [
            [
                NodeWithScore(node=nodes[hit.node.node_id], score=hit.score)
                for hit in ranking
                if hit.node.node_id in nodes
            ]
            for ranking in rankings
        ]
