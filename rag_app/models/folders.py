"""Folders of sentence-transformers models: made once, copied, and their settings changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from rag_app.disk import whole_folder, write_whole

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"
# A graph that passages pass through instead of the weights (passage_graph.py). Its name is not the
# one by which other programs find an OpenVINO model.
GRAPH_FOLDER = "openvino"
PASSAGE_GRAPH = f"{GRAPH_FOLDER}/passages.xml"


def make_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """A model's folder, filled if it is not there yet; of several processes one fills it."""
    if (folder / MODULES).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        with FileLock(lock):
            # Another process may have done it while this one waited.
            if not (folder / MODULES).is_file():
                with whole_folder(folder) as partial:
                    fill(partial)
    finally:
        lock.unlink(missing_ok=True)
    return folder


def state_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Another one once a file of the folder is written: names, times and sizes."""
    stats = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def copy_model(base: Path, target: Path) -> None:
    """Copy a model's folder to `target`, which must not be there; without a passage graph."""
    # Where the folders are siblings both are ours, and one copy of the weights is enough for both.
    copy = _share_weights if base.parent == target.parent else shutil.copy2
    shutil.copytree(base, target, copy_function=copy, ignore=passage_graph)


def passage_graph(folder: str, names: list[str]) -> set[str]:
    """What `shutil.copytree` leaves out for a copy whose passages pass the weights."""
    has_graph = GRAPH_FOLDER in names and (Path(folder) / PASSAGE_GRAPH).is_file()
    return {GRAPH_FOLDER} if has_graph else set()


def change_settings(folder: Path, **values: Any) -> None:
    """Set these keys of what sentence-transformers reads of a model; the others stay."""
    path = folder / SETTINGS
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    write_whole(path, json.dumps({**known, **values}, indent=2))


def _share_weights(source: str, target: str) -> None:
    if source.endswith(".safetensors"):
        try:
            os.link(source, target)
            return
        except OSError:  # a disk that knows no links
            pass
    shutil.copy2(source, target)
