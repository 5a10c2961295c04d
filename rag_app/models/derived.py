"""Models that are made from another by their name: NAME-256d is cut, NAME-static distilled.

They are folders of sentence-transformers like any other, made once and kept in storage.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from rag_app.errors import ModelError
from rag_app.models.embedding import EmbeddingModel
from rag_app.models.folders import change_settings, copy_model, make_once
from rag_app.models.static import distill

STATIC = "-static"
_CUT = re.compile(r"-(\d{1,5})d$")
_DERIVED = re.compile(rf"(.+)({STATIC}|{_CUT.pattern[:-1]})")

Make = Callable[[EmbeddingModel, Path], None]


def cut_name(name: str, dimensions: int) -> str:
    """The name of a model whose vectors are cut to their first numbers.

    Raises:
        ModelError: there can be no such model.

    >>> cut_name("sentence-transformers/all-MiniLM-L6-v2", 256)
    'sentence-transformers/all-MiniLM-L6-v2-256d'
    """
    if dimensions < 1:
        raise ModelError(
            f"vectors cannot be cut to {dimensions} dimensions; name a number from 1 on with "
            "--dimensions, or leave it out"
        )
    return f"{_CUT.sub('', name)}-{dimensions}d"


def split_derived(name: str) -> tuple[str, str] | None:
    """The base's name and the ending, where a name is that of a derived model.

    >>> split_derived("all-MiniLM-L6-v2-static-128d")
    ('all-MiniLM-L6-v2-static', '-128d')
    """
    found = _DERIVED.fullmatch(name)
    return (found[1], found[2]) if found else None


def make_derived(base: str, folder: Path, ending: str, kept: Path) -> Path:
    """The folder of a derived model, made if need be.

    Arguments:
        base, folder: what it is made from.
        ending: as `split_derived` returns it.
        kept: where it is; if the base is a folder, which may change, its state becomes part of the
            name.
    Raises:
        ModelError: the base's vectors cannot be cut so, or it cannot be distilled.
    """
    if Path(base).expanduser().is_dir():
        kept = kept.with_name(f"{kept.name}-{_state(folder)}")

    def make(target: Path) -> None:
        _maker(ending)(EmbeddingModel(base, folder, device="cpu"), target)

    return make_once(kept, make)


def _maker(ending: str) -> Make:
    if ending == STATIC:
        return distill
    return lambda base, folder: _cut(base, folder, int(ending[1:-1]))


def _cut(base: EmbeddingModel, target: Path, dimensions: int) -> None:
    if not 0 < dimensions <= base.dimension:
        raise ModelError(
            f"{base.name} has vectors of {base.dimension} numbers, which cannot be cut to "
            f"{dimensions}; name a number from 1 to {base.dimension} with --dimensions"
        )
    copy_model(base.folder, target)
    (target / "README.md").unlink(missing_ok=True)  # It tells of the base.
    change_settings(target, truncate_dim=dimensions, prompts=base.prompts.by_task())


def _state(folder: Path) -> str:
    """Changes with the weights; reading them all would take as long as embedding with them."""
    files = sorted(folder.rglob("*.safetensors"))
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:8]
