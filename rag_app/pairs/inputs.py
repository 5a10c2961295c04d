"""What a Python caller may hand over as questions -> labelled questions."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from rag_app.errors import PairsError
from rag_app.pairs.datasets import label_dataset
from rag_app.pairs.formats import read_questions
from rag_app.pairs.labelled import LabelledQuestion
from rag_app.text.normalise import normalise


@runtime_checkable
class QADataset(Protocol):
    """LlamaIndex's `EmbeddingQAFinetuneDataset`, or anything with its three fields."""

    queries: dict[str, str]
    corpus: dict[str, str]
    relevant_docs: dict[str, list[str]]


Questions: TypeAlias = (
    str | Path | QADataset | Iterable[LabelledQuestion] | Iterable[tuple[str, str]]
)


def as_questions(given: Questions) -> list[LabelledQuestion]:
    """Labelled questions of a file, a dataset, a list of them, or (question, passage) tuples.

    Raises:
        PairsError: nothing is in it, or it is something else.
    """
    if isinstance(given, str | Path):
        return read_questions(given)
    if isinstance(given, QADataset):
        found = label_dataset(
            given.queries, given.corpus, given.relevant_docs, source="the dataset"
        )
    else:
        found = [_as_question(one) for one in given]
    if not found:
        raise PairsError("there are no questions; hand over at least one")
    return found


def _as_question(given: Any) -> LabelledQuestion:
    if isinstance(given, LabelledQuestion):
        return given
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, str) for one in given):
        question, passage = given
        return LabelledQuestion(normalise(question), passage=normalise(passage))
    raise PairsError(
        f"{given!r:.80} is no labelled question; hand over (question, passage) tuples, "
        "LabelledQuestion objects, an EmbeddingQAFinetuneDataset or a file"
    )
