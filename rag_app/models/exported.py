"""What stands beside an exported model: how it is to be asked."""

from pathlib import Path
from typing import Any

from rag_app.disk import write_json
from rag_app.models.embedding import EmbeddingModel

SETTINGS_FILE = "settings.json"


def write_settings(model: EmbeddingModel, folder: Path, **more: Any) -> None:
    """Write a model's name, fingerprint, sizes and prompts, and what else there is to say."""
    settings = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "dimension": model.dimension,
        "max_tokens": model.max_tokens,
        "prompts": {"query": model.prompts.query, "passage": model.prompts.passage},
        **more,
    }
    write_json(folder / SETTINGS_FILE, settings)
