"""A model whose files are damaged: one message with what mends it, from every command."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import run_app
from test_finetune_bad_input import FAQ, WORDS, write_csv
from tiny import make_tiny_model

from rag_app.errors import ModelError
from rag_app.models.integrity import damage_in
from rag_app.models.weights import CROSS_ENCODER, DEFAULT_MODEL, find_weights


def cut_weights(model: Path) -> str:
    [path] = model.rglob("model.safetensors")
    size = path.stat().st_size
    os.truncate(path, size - 100)
    return f"{path} is damaged ({size - 100:,} bytes of {size:,})"


def cut_header(model: Path) -> str:
    [path] = model.rglob("model.safetensors")
    os.truncate(path, 20)
    return f"{path} is damaged (20 bytes, shorter than its own header)"


def empty_weights(model: Path) -> str:
    [path] = model.rglob("model.safetensors")
    os.truncate(path, 0)
    return f"{path} is damaged (its header cannot be read)"


def no_tokenizer(model: Path) -> str:
    for name in ("tokenizer.json", "vocab.txt"):
        for path in model.rglob(name):
            path.unlink()
    return f"{model} is incomplete (tokenizer.json is missing)"


def bad_config(model: Path) -> str:
    (model / "config.json").write_text('{"model_type": "bert",')
    return f"{model / 'config.json'} is damaged (no JSON: "


def bad_modules(model: Path) -> str:
    (model / "modules.json").write_bytes(b"\xff\xfe\x00")
    return f"{model / 'modules.json'} is damaged (no JSON: "


DAMAGES = [cut_weights, cut_header, empty_weights, no_tokenizer, bad_config, bad_modules]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with a model and its index, a FAQ, and questions about it."""
    folder = tmp_path_factory.mktemp("made")
    make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    faq = write_csv(folder / "faq.csv", FAQ)
    done = run_app("ingest", faq, "--model", "tiny", "--storage", folder / "storage", "--quiet")
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_command_says_what_is_damaged_and_what_mends_it(
    shop: Path, damage: Callable[[Path], str]
) -> None:
    said = damage(shop / "storage" / "models" / "tiny")
    where = ("--storage", shop / "storage")
    for command in (
        ("query", "-q", "how long", "--llm", "none"),
        ("finetune", "--pairs", shop / "faq.csv"),
        ("evaluate", shop / "faq.csv"),
    ):
        done = run_app(*command, "--json", *where)
        assert done.exit_code == 2
        error = json.loads(done.stdout)
        assert error["kind"] == "ModelError"
        assert error["error"].startswith(said)
        assert "and train or copy the model again; where it is in service" in error["error"]
        assert "Traceback" not in done.stderr
    done = run_app("doctor", "--json", *where)
    assert done.exit_code == 2
    wrong = [one["what"] for one in json.loads(done.stdout)["findings"] if one["state"] == "wrong"]
    assert [what for what in wrong if what.startswith(said)] == wrong
    assert wrong


def test_models_that_are_whole_are_not_touched(tmp_path: Path) -> None:
    assert damage_in(make_tiny_model(tmp_path / "tiny")) is None
    assert damage_in(find_weights(DEFAULT_MODEL, storage=tmp_path)) is None


def test_the_mend_fits_where_the_model_is(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "own")
    cut_weights(model)
    with pytest.raises(ModelError, match=r"`SentenceTransformer\(...\).save_pretrained\(folder\)`"):
        find_weights(str(model), storage=tmp_path)
    with pytest.raises(ModelError, match=r"`CrossEncoder\(...\).save_pretrained\(folder\)`"):
        find_weights(str(model), storage=tmp_path, kind=CROSS_ENCODER)
    # A derived one is made again.
    model.rename(tmp_path / "own2")
    (tmp_path / "models").mkdir()
    shutil.copytree(tmp_path / "own2", tmp_path / "models" / "tiny-static")
    with pytest.raises(ModelError, match="the same command then makes it again"):
        find_weights("tiny-static", storage=tmp_path)


def test_a_large_tokenizer_that_was_cut_short_is_seen(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny")
    [path] = model.rglob("tokenizer.json")
    path.write_text('{"model": "' + "x" * 3_000_000 + '"}\n', "utf-8")
    assert damage_in(model) is None
    os.truncate(path, 2_500_000)
    assert damage_in(model) == f"{path} is damaged (it ends too early)"
