"""Models as GGUF: llama.cpp gives the same vectors, or nothing is written."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import E5, MINILM, ROOT
from test_cli import run_app, run_json
from tiny import MAX_TOKENS, WIDTH, make_tiny_model

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

from rag_app import extras
from rag_app.errors import ModelError
from rag_app.export.gguf import export_gguf, gguf_code
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.charsmap import changes, pack
from rag_app.models.gguf_engine import GgufModel
from rag_app.models.gguf_words import add_tokenizer
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
    prompts = {"query": "ask: ", "document": "read: "}
    query_map = QueryMap(change)
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
    ollamas = (target / "Modelfile").read_text("utf-8")
    assert ollamas == f"FROM ./model.gguf\nPARAMETER num_ctx {model.max_tokens}\n"
    found: dict[str, np.ndarray] = {}
    exec(code, found)  # noqa: S102 - our own lines, as the card shows them
    assert np.allclose(found["queries"], model.embed_queries(["your question"]), atol=1e-3)
    assert np.allclose(found["passages"], model.embed_passages(["your passage"]), atol=1e-3)
    # Again, over what an earlier run wrote.
    again = run_app("export", "gguf", target, "--storage", storage)
    assert again.exit_code == 0
    assert again.stderr.startswith("writing tiny as GGUF: about a minute\n")


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


def make_tiny_xlm_roberta(folder: Path) -> Path:
    """Positions that begin at 2, a unigram tokenizer, the first token for the text: as bge-m3."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import XLMRobertaConfig, XLMRobertaModel

    inner = folder / "inner"
    config = XLMRobertaConfig(
        vocab_size=_save_unigram(inner) + 3,  # more rows than words, as e5 has
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        pad_token_id=1,
        initializer_range=0.2,
    )
    XLMRobertaModel(config).save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=MAX_TOKENS)
    modules = [transformer, Pooling(WIDTH, pooling_mode="cls"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(
        str(folder / "whole"), create_model_card=False
    )
    return folder / "whole"


def _save_unigram(folder: Path) -> int:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = ["\u2581", "배송", "\u2581환불", "lamp", *"abcdefghijklmnopqrstuvwxyz.½12\u2044"]
    vocabulary = [(one, 0.0) for one in special] + [(one, -2.0 - len(one)) for one in pieces]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), special, strict=True))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=MAX_TOKENS, **names
    ).save_pretrained(folder)
    return len(vocabulary)


@pytest.mark.usefixtures("float32")
def test_xlm_roberta_with_a_unigram_tokenizer(tmp_path: Path) -> None:
    model = EmbeddingModel("xlm", make_tiny_xlm_roberta(tmp_path), device="cpu")
    texts = ["lamps of 배송", "환불 ½ 배송.", unicodedata.normalize("NFD", "배송"), "ＬＡＭＰ? Ω ω"]
    exported = export_gguf(model, tmp_path / "out", texts, texts)
    assert min(exported.passage_cosine, exported.question_cosine) > 0.9999


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    from gguf import GGUFWriter
    from tokenizers import Tokenizer, models

    writer = GGUFWriter(None, "bert")
    with pytest.raises(ModelError, match=r"x has a tokenizer \(BPE\) .* what can: BERT encoders"):
        add_tokenizer(writer, Tokenizer(models.BPE()), name="x")


def test_a_token_that_is_there_twice_is_refused() -> None:
    """llama.cpp would end the process."""
    from gguf import GGUFWriter
    from tokenizers import Tokenizer, models, processors

    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("a", -2.0)], unk_id=0))
    tokenizer.post_processor = processors.BertProcessing(("a", 1), ("<unk>", 0))
    with pytest.raises(ModelError, match="the same token twice"):
        add_tokenizer(GGUFWriter(None, "bert"), tokenizer, name="x")


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
