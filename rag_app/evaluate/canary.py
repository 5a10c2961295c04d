"""A canary: out-of-domain questions, to see that tuning does not cost what the model knew."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from rag_app.chunks import Chunking, SentenceChunker, passage_text
from rag_app.documents import read_documents
from rag_app.errors import DocumentError, PairsError
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.evaluate.statistics import differences
from rag_app.index import Passages, VectorCache
from rag_app.pairs import (
    Question,
    build_questions,
    cluster_documents,
    document_texts,
    match_questions,
    read_questions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llama_index.core.schema import TextNode

    from rag_app.evaluate.scoring import Outcome
    from rag_app.evaluate.statistics import Difference
    from rag_app.index import IndexModel
    from rag_app.vectors import Embedder

QUESTIONS_FILE = "questions.jsonl"
TAKES = (
    "--canary takes a table of questions and answers, a BEIR folder, or a folder of documents with "
    f"a {QUESTIONS_FILE} beside them"
)
# Canary passages that may stand among the user's documents before it is no canary any more.
MOST_SHARED = 0.1
_PACKAGE = Path(__file__).parents[1]
# In an installed package; in a checkout.
_SAMPLES = (_PACKAGE / "sample_data", _PACKAGE.parent / "data")


# "guard": what certainly falls there is weakened, and held if that does not help; "report": it is
# only measured; "none": nothing is measured.
CanaryUse = Literal["guard", "report", "none"]


@dataclass(frozen=True)
class CanaryOptions:
    """Which out-of-domain questions, and what for.

    Fields:
        path: what `read_canary` reads; the sample data unless named.
    """

    path: Path | None = None
    use: CanaryUse = "guard"

    @classmethod
    def of(cls, given: str | Path | None) -> "CanaryOptions":
        """What `--canary` means: "none", "report", or a file or folder."""
        for use in get_args(CanaryUse)[1:]:
            if given == use:
                return cls(use=use)
        return cls(None if given is None else Path(given))

    def __str__(self) -> str:
        return str(self.path or "the sample data")


@dataclass(frozen=True)
class Canary:
    """Passages and questions about them, none of the user's."""

    name: str
    nodes: "list[TextNode]"
    questions: list[Question]


def read_canary(path: Path, model: "IndexModel", chunking: Chunking) -> Canary:
    """Read a canary.

    Arguments:
        path: a folder of documents with a questions.jsonl, or a file or folder that holds both
            passages and questions: a table of questions and answers, LlamaIndex's
            EmbeddingQAFinetuneDataset JSON, a BEIR folder.
    Raises:
        PairsError: no question there has its answer there.
    """
    inner = path / QUESTIONS_FILE
    asked = inner if inner.is_file() else path
    try:
        reading = read_documents([path], question_column="question", answer_column="answer")
    except DocumentError:
        if not path.exists():
            raise
        raise PairsError(f"{path} is no canary: no passage stands there. {TAKES}") from None
    chunker = SentenceChunker.for_model(model, chunking)
    nodes: list[TextNode] = list(chunker.get_nodes_from_documents(reading.documents))
    pairs = match_questions(read_questions(asked), nodes).pairs if nodes else []
    if not pairs:
        raise PairsError(f"{path} is no canary: no question there has its answer there. {TAKES}")
    clusters = cluster_documents(document_texts(nodes))
    return Canary(path.name, nodes, build_questions(pairs, nodes, clusters))


def find_canary(
    model: "IndexModel", chunking: Chunking, passages: "Sequence[TextNode]"
) -> Canary | None:
    """The sample data of a language that the model reads and that is not what is being tuned on."""
    own = {passage_text(node) for node in passages}
    for canary in _samples(model, chunking):
        texts = [passage_text(node) for node in canary.nodes]
        if _shared(canary, own) <= MOST_SHARED and model.knows_script_of(texts):
            return canary
    return None


def why_no_canary(model: "IndexModel", chunking: Chunking, passages: "Sequence[TextNode]") -> str:
    """Why `find_canary` found none."""
    own = {passage_text(node) for node in passages}
    samples = list(_samples(model, chunking))
    if any(_shared(canary, own) > MOST_SHARED for canary in samples):
        return "it is the data you trained on"
    if samples:
        return "the model does not read the script of the sample data"
    return "the sample data is not there"


def _samples(model: "IndexModel", chunking: Chunking) -> "Iterator[Canary]":
    for language in ("en", "ko"):
        folder = next((root / language for root in _SAMPLES if (root / language).is_dir()), None)
        if folder is not None:
            yield read_canary(folder, model, chunking)


def _shared(canary: Canary, own: set[str]) -> float:
    texts = [passage_text(node) for node in canary.nodes]
    return sum(text in own for text in texts) / len(texts)


def canary_outcomes(canary: Canary, model: "Embedder", *, cache: VectorCache) -> "list[Outcome]":
    """What a model makes of the questions, on passages that it embedded itself."""
    texts = [passage_text(node) for node in canary.nodes]
    passages = Passages(canary.nodes, cache.embed_passages(model, texts))
    return exact_outcomes(passages, model, canary.questions, cache=cache)


def changes_on(
    canary: Canary, base: "Embedder", *, cache: VectorCache, seed: int
) -> "Callable[[Embedder], dict[str, Difference]]":
    """What tells how a model differs from its base there, by metric; the base is asked once."""
    before = canary_outcomes(canary, base, cache=cache)

    def changes_of(model: "Embedder") -> "dict[str, Difference]":
        return differences(before, canary_outcomes(canary, model, cache=cache), seed=seed)

    return changes_of
