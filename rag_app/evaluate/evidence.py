"""What a report shows beside scores, kept in a run's folder while indexes are open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.disk import write_json
from rag_app.evaluate.collection import near_duplicates, second_answers
from rag_app.evaluate.kept_passages import keep_passages, passages_of
from rag_app.evaluate.scoring import Outcome
from rag_app.index.known import row_names

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.chunks import Chunking
    from rag_app.index import VectorIndex
    from rag_app.vectors import Embedder

COLLECTION_FILE = "collection.json"
# Groups of near-duplicate documents that are named; all are counted.
NAMED = 200


@dataclass(frozen=True)
class AskedIndex:
    """An index that questions were put to: its chunks, and what made it.

    Fields:
        names: what documents without a title are called, as `row_names` has it.
    """

    name: str
    model: "Embedder"
    chunking: "Chunking"
    nodes: "Sequence[TextNode]"
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(
        cls, index: "VectorIndex", model: "Embedder", nodes: "Sequence[TextNode]"
    ) -> "AskedIndex":
        """An index with its chunks."""
        return cls(index.name, model, index.info.chunking, nodes, row_names(index))

    def to_json(self) -> dict[str, Any]:
        """What made it, and its size, as plain values."""
        return {
            "name": self.name,
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "dimension": self.model.dimension,
            **asdict(self.chunking),
            "documents": len({node.ref_doc_id for node in self.nodes}),
            "chunks": len(self.nodes),
        }


def keep_evidence(
    folder: Path,
    indexes: Sequence[AskedIndex],
    judged: Sequence[Outcome],
    *,
    others: Iterable[Outcome] = (),
) -> None:
    """Write passages.jsonl and collection.json.

    Arguments:
        indexes: that were asked; the last is the one that `judged` is about.
        judged: outcomes of the run that the report is about.
        others: outcomes that it is compared with.
    """
    nodes = indexes[-1].nodes
    every = {node.node_id: node for index in indexes for node in index.nodes}
    names = {document: name for index in indexes for document, name in index.names.items()}
    keep_passages(folder, passages_of(every.values(), [*judged, *others], names).values())
    groups = near_duplicates(nodes)
    values: dict[str, Any] = {
        "indexes": [index.to_json() for index in indexes],
        "near_duplicates": {"groups": len(groups), "named": groups[:NAMED]},
        "second_answers": [asdict(one) for one in second_answers(judged, nodes)],
    }
    write_json(folder / COLLECTION_FILE, values)
