"""Models as ONNX graphs: the same vectors by onnxruntime alone, or nothing is written."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_cli import run_app, run_json
from tiny import make_tiny_model

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from rag_app import extras
from rag_app.errors import ModelError
from rag_app.export.onnx import onnx_code
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.onnx import OnnxModel, write_onnx
from rag_app.models.query_map import QueryMap, add_query_map

WORDS = [f"{kind}{n}" for kind in ("lamp", "chair", "shelf") for n in range(20)]
TEXTS = ["where is lamp1", "a", " ".join(WORDS)]
# Each of its own words; asked as it stands, it is found first.
DOCUMENTS = {f"d{n}": f"{WORDS[n]} {WORDS[n + 20]} {WORDS[n + 40]}" for n in range(20)}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a tiny model, and the same model with a query adapter."""
    folder = tmp_path_factory.mktemp("onnx")
    tiny = make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    dimension = EmbeddingModel("tiny", tiny).dimension
    change = np.random.default_rng(1).normal(0, 0.2, (dimension, dimension)).astype(np.float32)
    prompts = {"query": "ask: ", "document": "read: "}
    adapted = folder / "storage" / "models" / "adapted"
    add_query_map(tiny, adapted, QueryMap(change), prompts=prompts)
    documents = folder / "docs"
    documents.mkdir()
    for id_, text in DOCUMENTS.items():
        (documents / f"{id_}.txt").write_text(text, "utf-8")
    place = ("--storage", folder / "storage")
    assert run_app("ingest", documents, *place, "--model", "tiny").exit_code == 0
    return folder / "storage"


def model_of(storage: Path, name: str) -> EmbeddingModel:
    return load_model(name, storage=storage, device="cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("name", ["tiny", "adapted"])
def test_the_graph_gives_the_models_vectors(storage: Path, name: str, tmp_path: Path) -> None:
    model = model_of(storage, name)
    write_onnx(model, tmp_path)
    graph = OnnxModel(tmp_path)
    assert (graph.dimension, graph.name) == (model.dimension, f"{name}-onnx")
    # One text, several of other lengths, and one that is longer than the model reads.
    for texts in (TEXTS[:1], TEXTS):
        assert np.allclose(graph.embed_queries(texts), model.embed_queries(texts), atol=1e-5)
        assert np.allclose(graph.embed_passages(texts), model.embed_passages(texts), atol=1e-5)
    moved = (graph.embed_queries(TEXTS) * graph.embed_passages(TEXTS)).sum(axis=1)
    assert (moved.max() < 0.99) == (name == "adapted")


@pytest.mark.slow
def test_eight_bit_weights_are_another_model(storage: Path, tmp_path: Path) -> None:
    model = model_of(storage, "adapted")
    for name, int8 in (("float", False), ("int8", True)):
        (tmp_path / name).mkdir()
        write_onnx(model, tmp_path / name, int8=int8)
    whole, small = OnnxModel(tmp_path / "float"), OnnxModel(tmp_path / "int8")
    assert small.name == "adapted-onnx-int8"
    assert small.fingerprint != whole.fingerprint
    cosines = (small.embed_queries(TEXTS) * whole.embed_queries(TEXTS)).sum(axis=1)
    assert 0.9 < cosines.min() < 0.99999


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
def test_the_command_writes_what_its_card_loads(storage: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "graph"
    options = ("--model", "adapted", "--storage", storage)
    said = run_json("export", "onnx", target, *options)
    assert (said["model"], said["int8"], said["n"]) == ("adapted", False, None)
    assert said["cosine_min"] > 0.9999
    assert said["bytes"] == (target / "model.onnx").stat().st_size
    card = (target / "README.md").read_text("utf-8")
    model = model_of(storage, "adapted")
    code = "\n".join(onnx_code(model, target))
    assert code in card
    found: dict[str, np.ndarray] = {}
    exec(code, found)  # noqa: S102 - our own lines, as the card shows them
    assert np.allclose(found["queries"], model.embed_queries(["your question"]), atol=1e-5)
    assert np.allclose(found["passages"], model.embed_passages(["your passage"]), atol=1e-5)
    # Again, over what an earlier run wrote.
    again = run_app("export", "onnx", target, *options)
    assert again.exit_code == 0
    assert again.stderr.startswith("writing adapted as ONNX: one to three minutes\n")


@pytest.mark.slow
def test_a_certain_loss_is_refused(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = tmp_path / "questions.jsonl"
    rows = [
        {"question": text, "document": f"{id_}.txt", "evidence": text}
        for id_, text in DOCUMENTS.items()
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = ("--int8", "--questions", questions, "--storage", storage)
    said = run_json("export", "onnx", tmp_path / "good", *options)
    assert said["n"] == len(DOCUMENTS)
    assert set(said["differences"]["mrr@10"]) >= {"mean", "low", "high", "p"}
    shown = run_app("export", "onnx", tmp_path / "good", *options).stdout
    assert f"{len(DOCUMENTS)} questions, tiny and its ONNX graph" in shown
    assert re.search(r"metric +model +int8 +difference +p", shown)

    def elsewhere(self: OnnxModel, texts: list[str], **_: object) -> np.ndarray:
        return np.eye(self.dimension, dtype=np.float32)[[len(t) % self.dimension for t in texts]]

    monkeypatch.setattr(OnnxModel, "embed_queries", elsewhere)
    done = run_app("export", "onnx", tmp_path / "bad", *options)
    assert done.exit_code == 2
    assert "certainly falls" in done.stderr
    assert not (tmp_path / "bad").exists()


def test_what_cannot_be_exported_is_told(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*options: str | Path) -> str:
        done = run_app("export", "onnx", *options, "--storage", storage)
        assert done.exit_code == 2
        return " ".join(done.stderr.split())

    assert "--int8 needs --questions FILE" in said(tmp_path / "new", "--int8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear reader", "utf-8")
    assert "holds something else than an ONNX model" in said(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").is_file()
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    assert "pip install 'rag-app[onnx]'" in said(tmp_path / "new")


def test_a_folder_that_is_no_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model that `rag-app export onnx` wrote"):
        OnnxModel(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps({"dimension": "many"}), "utf-8")
    with pytest.raises(ModelError, match="export it again"):
        OnnxModel(tmp_path)
