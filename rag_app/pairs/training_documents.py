"""Which documents a tuned model was trained on: questions about them say nothing about it."""

import json
from collections.abc import Iterable
from pathlib import Path

from rag_app.disk import write_whole

TRAINING_FILE = "training_documents.json"


def write_training_documents(model_folder: Path, document_ids: Iterable[str]) -> None:
    """Write down the documents whose pairs trained the model or chose its checkpoint."""
    values = {"documents": sorted(document_ids)}
    text = json.dumps(values, ensure_ascii=False, indent=0) + "\n"
    write_whole(model_folder / TRAINING_FILE, text)


def training_documents(model: object) -> frozenset[str]:
    """What `write_training_documents` wrote; nothing for a model that was not tuned here.

    Arguments:
        model: with a `folder`, if it has one.
    """
    folder = getattr(model, "folder", None)
    if folder is None:
        return frozenset()
    path = Path(folder) / TRAINING_FILE
    return frozenset(json.loads(path.read_text("utf-8"))["documents"] if path.is_file() else ())
