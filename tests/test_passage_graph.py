"""Models whose passages pass an OpenVINO graph in 8 bits, and everything else the weights."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from test_cli import run_app, run_json
from tiny import make_tiny_model, one_thread

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino", reason="what embeds passages in 8 bits is not installed")
pytest.importorskip("nncf", reason="what writes the graph is not installed")

from rag_app import extras
from rag_app.errors import ConfigError, ModelError
from rag_app.models import EmbeddingModel
from rag_app.models.openvino import write_passage_graph
from rag_app.models.passage_graph import PassageGraph
from rag_app.models.query_map import QueryMap, add_query_map

WORDS = [f"{kind}{n}" for kind in ("lamp", "chair", "shelf") for n in range(20)]
# Each of its own words; asked as it stands, it is found first.
DOCUMENTS = {f"d{n}": f"{WORDS[n]} {WORDS[n + 20]} {WORDS[n + 40]}" for n in range(20)}
PROMPTS = {"query": "ask: ", "document": "read: "}
# One text, and several of other lengths, one of them longer than the model reads.
TEXTS = ["where is lamp1", "a", " ".join(WORDS), *DOCUMENTS.values()]


@dataclass(frozen=True)
class Made:
    """A storage with an index of the float model, and what was exported of it."""

    storage: Path
    questions: Path
    base: Path
    exported: Path
    said: dict[str, Any]

    def load(self) -> EmbeddingModel:
        return EmbeddingModel("tiny-int8", self.exported, device="cpu")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Any:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("graph")
    base = make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    (base / "README.md").write_text('# tiny\n\nSentenceTransformer("elsewhere")\n', "utf-8")
    documents = folder / "docs"
    documents.mkdir()
    for name, text in DOCUMENTS.items():
        (documents / f"{name}.txt").write_text(text, "utf-8")
    questions = folder / "questions.jsonl"
    rows = [
        {"question": text, "document": f"{name}.txt", "evidence": text}
        for name, text in DOCUMENTS.items()
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    storage, exported = folder / "storage", folder / "tiny-int8"
    assert run_app("ingest", documents, "--storage", storage, "--model", "tiny").exit_code == 0
    said = run_json("export", "openvino", exported, "--questions", questions, "--storage", storage)
    return Made(storage, questions, base, exported, said)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a * b).sum(axis=1))


@pytest.mark.slow
def test_passages_pass_the_graph_and_questions_the_weights(made: Made) -> None:
    base, model = EmbeddingModel("tiny", made.base, device="cpu"), made.load()
    found = cosines(model.embed_passages(TEXTS), base.embed_passages(TEXTS))
    assert 0.95 < found.min() < found.max() < 0.99999
    assert np.array_equal(model.embed_queries(TEXTS), base.embed_queries(TEXTS))
    assert (model.dimension, model.prompts, model.max_tokens) == (
        *(base.dimension, base.prompts, base.max_tokens),
    )
    assert made.said["model"] == "tiny"
    assert made.said["n"] == len(DOCUMENTS)
    assert 0.95 < made.said["cosine_min"] <= made.said["cosine_mean"] < 0.99999


@pytest.mark.slow
def test_a_text_has_one_vector_in_whatever_company(made: Made) -> None:
    model = made.load()
    together = model.embed_passages(TEXTS)
    model.unload()
    # Who asks questions may embed a few texts without torch, but not passages.
    asking = EmbeddingModel("tiny-int8", made.exported, without_torch=True)
    alone = np.concatenate([asking.embed_passages([text]) for text in TEXTS])
    assert cosines(together, alone).min() > 0.9995
    assert model.embed_passages([]).shape == (0, model.dimension)


@pytest.mark.slow
def test_several_threads_may_embed_at_once(made: Made) -> None:
    model = made.load()
    alone = model.embed_passages(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(model.embed_passages, [TEXTS] * 40):
            assert cosines(vectors, alone).min() > 0.9995


@pytest.mark.slow
def test_its_fingerprint_is_its_own(made: Made, tmp_path: Path) -> None:
    base, model = EmbeddingModel("tiny", made.base), made.load()
    assert model.passage_fingerprint != base.passage_fingerprint
    assert model.fingerprint == model.passage_fingerprint
    weights = EmbeddingModel("tiny-int8", made.exported, float_passages=True)
    assert weights.fingerprint == base.fingerprint
    # The same copy elsewhere is the same model.
    copy = shutil.copytree(made.exported, tmp_path / "copy")
    assert EmbeddingModel("copy", copy).fingerprint == model.fingerprint


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
def test_sentence_transformers_and_models_made_of_it_have_float_passages(
    made: Made, tmp_path: Path
) -> None:
    base = EmbeddingModel("tiny", made.base, device="cpu")
    plain = SentenceTransformer(str(made.exported), device="cpu")
    theirs = plain.encode_document(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(theirs, base.embed_passages(TEXTS), atol=1e-5)
    card = (made.exported / "README.md").read_text("utf-8")
    assert card.startswith(f'# tiny\n\nSentenceTransformer("{made.exported}")\n')
    assert "8-bit weights and activations, calibrated on 20 passages" in card
    assert f"on {len(DOCUMENTS)} labelled questions" in card
    change = np.zeros((base.dimension, base.dimension), np.float32)
    adapted = tmp_path / "adapted"
    add_query_map(made.exported, adapted, QueryMap(change), prompts={})
    assert not (adapted / "openvino").exists()
    assert EmbeddingModel("a", adapted).passage_fingerprint == base.passage_fingerprint


@pytest.mark.slow
def test_the_graph_of_a_cut_model_with_a_query_adapter(made: Made, tmp_path: Path) -> None:
    change = np.random.default_rng(1).normal(0, 0.2, (32, 32)).astype(np.float32)
    folder = tmp_path / "adapted"
    add_query_map(made.base, folder, QueryMap(change), prompts=PROMPTS)
    settings = folder / "config_sentence_transformers.json"
    known = json.loads(settings.read_text("utf-8"))
    settings.write_text(json.dumps({**known, "truncate_dim": 16}), "utf-8")
    weights = EmbeddingModel("adapted", folder, device="cpu")
    assert write_passage_graph(weights, folder, list(DOCUMENTS.values())) == len(DOCUMENTS)
    model = EmbeddingModel("adapted", folder, device="cpu")
    vectors = model.embed_passages(TEXTS)
    assert vectors.shape == (len(TEXTS), 16)
    assert cosines(vectors, weights.embed_passages(TEXTS)).min() > 0.95
    assert cosines(vectors, model.embed_queries(TEXTS)).max() < 0.99


@pytest.mark.slow
def test_ingest_and_query_take_the_folder(made: Made, tmp_path: Path) -> None:
    documents = made.storage.parent / "docs"
    place = ("--storage", tmp_path / "storage")
    run_json("ingest", documents, "--model", made.exported, *place)
    info = run_json("index", "info", *place)
    assert info["model"] == str(made.exported)
    asked = ("query", "--llm", "none", "--retriever", "exact", "-q")
    found = run_json(*asked, DOCUMENTS["d3"], *place)
    assert Path(found["citations"][0]["path"]).name == "d3.txt"
    # Nothing is embedded again, and the index agrees with the model.
    again = run_json("ingest", documents, *place)
    assert again["unchanged"] == len(DOCUMENTS)
    assert run_app("index", "verify", *place).exit_code == 0
    # What is exported of it is made of its weights.
    other = tmp_path / "other"
    run_json("export", "openvino", other, "--questions", made.questions, *place)
    assert (other / "README.md").read_text("utf-8").count("## Passages in 8 bits") == 1
    bundle = tmp_path / "bundle.tar.gz"
    run_json("bundle", "pack", bundle, *place)
    run_json("bundle", "open", bundle, "--storage", tmp_path / "opened")
    opened = run_json(*asked, DOCUMENTS["d3"], "--storage", tmp_path / "opened")
    scores = [one["citations"][0]["score"] for one in (found, opened)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "adapter"])
def test_finetune_tunes_the_weights_and_leaves_the_graph_behind(
    made: Made, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_APP_RESULTS", str(tmp_path / "results"))
    place = ("--storage", tmp_path / "storage")
    run_json("ingest", made.storage.parent / "docs", "--model", made.exported, *place)
    few = ("--method", method, "--epochs", "1", "--batch-size", "4", "--no-refit")
    asked = tmp_path / "asked.jsonl"
    rows = [json.loads(line) for line in made.questions.read_text("utf-8").splitlines()]
    # What repeats its passage is not trained on.
    short = [{**row, "question": f"where is {row['question'].split()[0]}"} for row in rows]
    asked.write_text("".join(json.dumps(row) + "\n" for row in short), "utf-8")
    said = run_json("finetune", "--pairs", asked, *few, *place)
    tuned = Path(said["model"])
    assert (tuned / "modules.json").is_file()
    assert not (tuned / "openvino").exists()
    model = EmbeddingModel("tuned", tuned, device="cpu")
    weights = EmbeddingModel("tiny-int8", made.exported, device="cpu", float_passages=True)
    same = model.passage_fingerprint == weights.passage_fingerprint
    assert same == (method == "adapter")


@pytest.mark.slow
def test_a_certain_loss_is_refused(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(_: PassageGraph, texts: list[str], *__: object) -> np.ndarray:
        return np.eye(32, dtype=np.float32)[[len(text) % 32 for text in texts]]

    monkeypatch.setattr(PassageGraph, "embed", elsewhere)
    options = ("--questions", made.questions, "--storage", made.storage)
    done = run_app("export", "openvino", tmp_path / "bad", *options)
    assert done.exit_code == 2
    assert "with passages in 8 bits mrr@10 certainly falls" in " ".join(done.stderr.split())
    assert not (tmp_path / "bad").exists()


@pytest.mark.slow
def test_what_cannot_be_written_is_told(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(target: Path, *options: str | Path) -> str:
        asked = ("--questions", made.questions, "--storage", made.storage)
        done = run_app("export", "openvino", target, *asked, *options)
        assert done.exit_code == 2
        return " ".join(done.stderr.split())

    assert "is the model's own folder" in said(made.exported, "--model", made.exported)
    (tmp_path / "thesis.txt").write_text("dear reader", "utf-8")
    assert "holds something else than a model" in said(tmp_path)
    monkeypatch.setattr(extras, "find_spec", lambda name: name != "nncf" or None)
    message = "the package nncf is not installed; run `pip install 'rag-app[openvino]'`"
    assert message in said(tmp_path / "new")


@pytest.mark.slow
def test_without_openvino_the_folder_is_refused_and_the_weights_can_be_copied(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: name != "openvino" or None)
    message = r"the package openvino is not installed; run `pip install 'rag-app\[openvino\]'`"
    with pytest.raises(ConfigError, match=message):
        made.load()
    place = ("--storage", tmp_path / "storage")
    done = run_app("ingest", made.storage.parent / "docs", "--model", made.exported, *place)
    assert done.exit_code == 2
    assert "pip install 'rag-app[openvino]'" in " ".join(done.stderr.split())
    assert not list((tmp_path / "storage").rglob("*.sqlite3"))
    copy = tmp_path / "copy"
    run_json("export", "sentence-transformers", copy, "--model", made.exported, *place)
    assert (copy / "openvino" / "passages.xml").is_file()
    EmbeddingModel("weights", made.exported, float_passages=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "keep", "message"),
    [
        ("passages.bin", 0.5, "bytes, not"),
        ("passages.xml", 0.5, "bytes, not"),
        ("passages.json", 0.5, "is damaged"),
        ("passages.json", 0, "is damaged"),
    ],
)
def test_a_damaged_graph_is_told(
    made: Made, tmp_path: Path, file: str, keep: float, message: str
) -> None:
    folder = shutil.copytree(made.exported, tmp_path / "copy")
    path = folder / "openvino" / file
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ModelError, match=message) as told:
        EmbeddingModel("copy", folder)
    assert "rag-app export openvino" in str(told.value)


@pytest.mark.slow
def test_a_graph_that_openvino_cannot_read_is_told(made: Made, tmp_path: Path) -> None:
    folder = shutil.copytree(made.exported, tmp_path / "copy")
    path = folder / "openvino" / "passages.xml"
    path.write_bytes(b"<" * path.stat().st_size)
    with pytest.raises(ModelError, match="is damaged"):
        EmbeddingModel("copy", folder).embed_passages(TEXTS)


def test_a_folder_with_another_openvino_model_is_a_plain_one(tmp_path: Path) -> None:
    """Many models on the hub have one, of their own making, under sentence-transformers' name."""
    folder = make_tiny_model(tmp_path / "tiny")
    before = EmbeddingModel("tiny", folder).fingerprint
    (folder / "openvino").mkdir()
    (folder / "openvino" / "openvino_model.xml").write_text("<net/>", "utf-8")
    assert EmbeddingModel("tiny", folder).fingerprint == before
