"""What a tuned model was trained on: questions about these documents say nothing about it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag_app.disk import write_whole

TRAINING_FILE = "training_documents.json"


def write_training_documents(
    model_folder: Path,
    document_ids: Iterable[str],
    *,
    questions: Iterable[str] | None = None,
    judged: str | None = None,
) -> None:
    """Write down the documents whose pairs trained the model or chose its checkpoint.

    Arguments:
        questions: ids of the questions of these pairs, where they are to be kept, too.
        judged: of a model that was trained on all pairs, the name of the one that was judged.
    """
    values: dict[str, Any] = {"documents": sorted(document_ids), "judged_model": judged}
    if questions is not None:
        values["questions"] = sorted(questions)
    text = json.dumps(values, ensure_ascii=False, indent=0) + "\n"
    write_whole(model_folder / TRAINING_FILE, text)


def training_documents(model: object) -> frozenset[str]:
    """What `write_training_documents` wrote; nothing for a model that was not tuned here.

    Arguments:
        model: with a `folder`, if it has one.
    """
    return frozenset(_read(model).get("documents", ()))


def training_questions(model: object) -> frozenset[str] | None:
    """Ids of the questions that trained the model or chose its checkpoint; None: not known."""
    questions = _read(model).get("questions")
    return None if questions is None else frozenset(questions)


def judged_model(model: object) -> str | None:
    """Name of the model that was judged in place of a refit; None for any other model."""
    name: str | None = _read(model).get("judged_model")
    return name


def _read(model: object) -> dict[str, Any]:
    folder = getattr(model, "folder", None)
    path = Path(folder) / TRAINING_FILE if folder else None
    if path is None or not path.is_file():
        return {}
    values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return values
