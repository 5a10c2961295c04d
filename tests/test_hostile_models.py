"""Model folders that hold pickles, damage or something else."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_tiny_model

from rag_app.errors import ModelError
from rag_app.models import load_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "tiny")


def load(folder: Path) -> None:
    load_model(str(folder), storage=folder.parent).embed_passages(["a b"])


def test_pickled_weights_are_never_loaded(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (tmp_path / "pwned",))

    (weights,) = folder.rglob("model.safetensors")
    torch.save(Evil(), weights.with_name("pytorch_model.bin"))
    load(folder)
    # Another file of the kind beside them does not make them safe.
    weights.rename(weights.with_name("other.safetensors"))
    with pytest.raises(ModelError, match=r"holds no \.safetensors weights"):
        load(folder)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_model_whose_vectors_tell_nothing_is_refused(folder: Path, value: float) -> None:
    (weights,) = folder.rglob("model.safetensors")
    tensors = load_file(weights)
    save_file({name: torch.full_like(one, value) for name, one in tensors.items()}, weights)
    with pytest.raises(ModelError, match="vectors of length 0, or with NaN or infinite values"):
        load(folder)


@pytest.mark.parametrize(
    "modules",
    [[[1]], {}, 5, [{"idx": 0, "name": "0", "path": "", "type": "os.system"}], [{"type": 3}]],
    ids=str,
)
def test_a_list_of_modules_that_is_none_is_refused(folder: Path, modules: object) -> None:
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    with pytest.raises(ModelError, match="no sentence-transformers model that can be loaded"):
        load(folder)


def test_code_in_the_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\nclass Module: pass\n")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[0]["type"] = "evil.Module"
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    with pytest.raises(ModelError):
        load(folder)
    assert not (tmp_path / "pwned").exists()
    shutil.rmtree(folder)
