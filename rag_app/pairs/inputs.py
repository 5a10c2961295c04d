"""What a Python caller may hand over as questions -> labelled questions."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from rag_app.disk import write_whole
from rag_app.errors import PairsError, StorageError
from rag_app.pairs.datasets import LABEL_FIELDS, LABELS, label_dataset
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

_TAKEN = (
    "hand over (question, passage) tuples, LabelledQuestion objects, an EmbeddingQAFinetuneDataset "
    "or a file"
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
    elif isinstance(given, Iterable):
        found = [_as_question(one) for one in given]
    else:
        raise PairsError(f"{given!r:.80} holds no questions; {_TAKEN}")
    if not found:
        raise PairsError("there are no questions; hand over at least one")
    return found


def _as_question(given: Any) -> LabelledQuestion:
    if isinstance(given, LabelledQuestion):
        return given
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, str) for one in given):
        question, passage = given
        return LabelledQuestion(normalise(question), passage=normalise(passage))
    raise PairsError(f"{given!r:.80} is no labelled question; {_TAKEN}")


def as_file(given: Questions, folder: Path) -> Path:
    """A file of these questions: the one that was named, or one in `folder`, named by its content.

    Passages that come with the questions are kept with them, as a dataset keeps its corpus, so
    that they need no index.

    Raises:
        PairsError: as `as_questions`, or a question that names neither passage nor document.
        StorageError: the file cannot be written.
    """
    if isinstance(given, str | Path):
        return Path(given)
    if isinstance(given, QADataset):
        values = {name: getattr(given, name) for name in ("queries", "corpus", "relevant_docs")}
        return _written(json.dumps(values, ensure_ascii=False), folder, ".json")
    questions = as_questions(given)
    if all(one.passage for one in questions):
        return _written(json.dumps(_dataset_of(questions), ensure_ascii=False), folder, ".json")
    if not all(one.document for one in questions):
        raise PairsError(
            "some questions name a document and others only a passage, or neither; hand them over "
            "apart"
        )
    rows = [_known_fields(one) for one in questions]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return _written(text, folder, ".jsonl")


def _known_fields(question: LabelledQuestion) -> dict[str, Any]:
    return {key: value for key, value in asdict(question).items() if value is not None}


def _dataset_of(questions: Iterable[LabelledQuestion]) -> dict[str, Any]:
    """What LlamaIndex's EmbeddingQAFinetuneDataset saves, and the labels that it has no field for.

    Arguments:
        questions: with their passages.
    """
    corpus: dict[str, str] = {}
    labels: dict[str, dict[str, Any]] = {}
    queries: dict[str, str] = {}
    relevant: dict[str, list[str]] = defaultdict(list)
    for number, one in enumerate(questions):
        passage = one.passage or ""
        key = hashlib.sha256(passage.encode()).hexdigest()[:16]
        corpus[key] = passage
        queries[f"q{number}"] = one.question
        relevant[f"q{number}"].append(key)
        fields = asdict(one)
        labels[f"q{number}"] = {name: fields[name] for name in LABEL_FIELDS}
    return {"queries": queries, "corpus": corpus, "relevant_docs": relevant, LABELS: labels}


def _written(text: str, folder: Path, ending: str) -> Path:
    path = folder / f"pairs-{hashlib.sha256(text.encode()).hexdigest()[:12]}{ending}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error}; free some space or name another storage"
        ) from error
    return path
