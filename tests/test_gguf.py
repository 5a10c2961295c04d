"""Models as GGUF: llama.cpp gives the same vectors, or nothing is written."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import E5, MINILM, ROOT
from test_cli import run_app, run_json
from tiny import make_tiny_model

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

from rag_app import extras
from rag_app.errors import ModelError
from rag_app.export.gguf import export_gguf, gguf_code
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.charsmap import changes, pack
from rag_app.models.gguf_engine import GgufModel
from rag_app.models.query_map import QueryMap, add_query_map, read_query_map

WORDS = [f"{kind}{n}" for kind in ("lamp", "chair", "shelf") for n in range(20)]
QUESTIONS = ["where is lamp1", "a", " ".join(WORDS[:40])]
PASSAGES = ["chair2 and shelf3", "lamp4", "what of it?"]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a tiny model, and the same model with a query adapter."""
    folder = tmp_path_factory.mktemp("gguf")
    tiny = make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    dimension = EmbeddingModel("tiny", tiny).dimension
    random = np.random.default_rng(1)
    change = random.normal(0, 0.2, (dimension, dimension)).astype(np.float32)
    gate = random.normal(0, 1, dimension).astype(np.float32)
    prompts = {"query": "ask: ", "document": "read: "}
    query_map = QueryMap(change, gate, 0.05)
    add_query_map(tiny, folder / "storage" / "models" / "adapted", query_map, prompts=prompts)
    (folder / "docs").mkdir()
    for n, text in enumerate(PASSAGES):
        (folder / "docs" / f"{n}.txt").write_text(text, "utf-8")
    where = ("--storage", folder / "storage", "--model", "tiny")
    assert run_app("ingest", folder / "docs", *where).exit_code == 0
    return folder / "storage"


def model_of(storage: Path, name: str) -> EmbeddingModel:
    return load_model(name, storage=storage, device="cpu")


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("name", ["tiny", "adapted"])
def test_llama_cpp_gives_the_models_vectors(storage: Path, name: str, tmp_path: Path) -> None:
    model = model_of(storage, name)
    exported = export_gguf(model, tmp_path / "out", PASSAGES, QUESTIONS)
    assert (exported.passages, exported.questions) == (3, 3)
    assert min(exported.passage_cosine, exported.question_cosine) > 0.9999
    assert (tmp_path / "out" / "query_adapter.npz").is_file() == (name == "adapted")
    loaded = GgufModel(tmp_path / "out")
    assert (loaded.name, loaded.dimension) == (f"{name}-gguf", model.dimension)
    moved = (loaded.embed_queries(QUESTIONS) * loaded.embed_passages(QUESTIONS)).sum(axis=1)
    assert (moved.min() < 0.99) == (name == "adapted")


@pytest.mark.usefixtures("float32")
def test_the_card_embeds_with_llama_cpp_alone(storage: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "model"
    said = run_json("export", "gguf", target, "--model", "adapted", "--storage", storage)
    assert said["model"] == "adapted"
    assert said["bytes"] == (target / "model.gguf").stat().st_size
    model = model_of(storage, "adapted")
    code = "\n".join(gguf_code(model, target))
    assert code in (target / "README.md").read_text("utf-8")
    found: dict[str, np.ndarray] = {}
    exec(code, found)  # noqa: S102 - our own lines, as the card shows them
    assert np.allclose(found["queries"], model.embed_queries(["your question"]), atol=1e-3)
    assert np.allclose(found["passages"], model.embed_passages(["your passage"]), atol=1e-3)
    # Again, over what an earlier run wrote.
    assert run_app("export", "gguf", target, "--storage", storage).exit_code == 0


@pytest.mark.usefixtures("float32")
def test_the_adapter_is_read_back(storage: Path) -> None:
    model = model_of(storage, "adapted")
    vectors = model_of(storage, "tiny").embed_passages([f"ask: {one}" for one in QUESTIONS])
    mapped = read_query_map(model.folder)(vectors)
    assert np.allclose(mapped, model.embed_queries(QUESTIONS), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "language"), [(MINILM, "en"), (E5, "ko")])
def test_real_models_on_the_sample_documents(name: str, language: str, tmp_path: Path) -> None:
    documents = sorted((ROOT / "data" / language).rglob("*.md"))[:10]
    passages = [one.read_text("utf-8").split("\n\n")[-1].strip() for one in documents]
    decomposed = unicodedata.normalize("NFD", passages[0]) if name == E5 else "a"
    exported = export_gguf(
        load_model(name, storage=tmp_path, device="cpu"),
        tmp_path / "out",
        [*passages, decomposed],
        [passage[:40].strip() for passage in passages],
    )
    assert min(exported.passage_cosine, exported.question_cosine) > 0.999


def test_other_words_than_the_models_are_refused(storage: Path, tmp_path: Path) -> None:
    """llama.cpp takes Hangul apart for a WordPiece, as the tiny model's tokenizer does not."""
    with pytest.raises(ModelError, match=r"llama.cpp gives other vectors than tiny"):
        export_gguf(model_of(storage, "tiny"), tmp_path / "out", ["배송 환불"], ["a"])
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_told(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*options: str | Path) -> str:
        done = run_app("export", "gguf", *options, "--storage", storage)
        assert done.exit_code == 2
        return " ".join(done.stderr.split())

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear reader", "utf-8")
    assert "holds something else than a GGUF model" in said(tmp_path / "mine")
    message = said(tmp_path / "new", "--model", "tiny-static")
    assert "tiny-static cannot be exported as GGUF (its modules are StaticEmbedding" in message
    assert "what can: BERT encoders" in message
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    assert "pip install 'rag-app[gguf]'" in said(tmp_path / "new")


def test_a_folder_that_is_no_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model that `rag-app export gguf` wrote"):
        GgufModel(tmp_path)


def test_the_map_of_characters_is_sentencepieces() -> None:
    """The package tokenizers reads the same layout, with code of its own."""
    from tokenizers.normalizers import NFKC, Precompiled

    replacements = dict(changes(NFKC().normalize_str))
    theirs = Precompiled(pack(replacements))
    for text in ("½ ﬁne ㈜ ﾊ", "환불", "A\u030angstro\u0308m"):
        assert theirs.normalize_str(text) == unicodedata.normalize("NFKC", text)
    # It looks up nothing longer than five bytes; llama.cpp does.
    assert replacements["\u1112\u1161\u11ab"] == "한"
    assert replacements["\uff8a\uff9f"] == "パ"
