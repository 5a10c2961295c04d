"""A folder read without sentence-transformers gives its vectors, or is left to it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import MINILM
from tiny import make_tiny_model

from rag_app.models import EmbeddingModel, bert, load_model
from rag_app.models.bert import as_it_multiplies, gelu
from rag_app.models.embedding import SLAB
from rag_app.models.light import read_light
from rag_app.models.query_map import QueryMap, add_query_map
from rag_app.models.weights import find_weights

TEXTS = [
    *("how long do refunds take?", "x", "환불은 며칠 걸리나요 — Ünïcode", "refund " * 400),
    "The quick brown fox jumps over the lazy dog. " * 5,
]
PROMPTS = {"query": "query: ", "document": "passage: "}
WIDTH = 32


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light") / "tiny"
    return make_tiny_model(folder, words=["refund", "take"], prompts=PROMPTS)


@pytest.fixture(scope="module")
def mapped(tiny: Path) -> Path:
    """The tiny model with a query adapter, as `finetune --method adapter` writes one."""
    rng = np.random.default_rng(0)
    change = rng.normal(scale=0.2, size=(WIDTH, WIDTH)).astype(np.float32)
    folder = tiny.with_name("mapped")
    add_query_map(tiny, folder, QueryMap(change), prompts=PROMPTS)
    return folder


def assert_same(name: str, folder: Path) -> None:
    """Questions, passages, sizes and tokens are those of sentence-transformers."""
    light = EmbeddingModel(name, folder, without_torch=True)
    found = [light.embed_queries(TEXTS), light.embed_passages(TEXTS)]
    assert light._light is not None, "the folder is known"
    assert "transformer" not in light.__dict__, "and was not loaded otherwise"
    full = EmbeddingModel(name, folder)
    _ = full.transformer
    whole = [full._embed(TEXTS, "query", full.prompts.query, "", lambda *_: None)]
    whole.append(full._embed(TEXTS, "document", full.prompts.passage, "", lambda *_: None))
    for vectors, expected in zip(found, whole, strict=True):
        assert (vectors * expected).sum(axis=1).min() >= 0.99999
    full._light = None
    del full.__dict__["tokenizer"]
    assert full._sizes() == (light.dimension, light.full_dimension, light.max_tokens)
    assert full.count_tokens(TEXTS) == light.count_tokens(TEXTS)


@pytest.mark.parametrize("which", ["tiny", "mapped"])
def test_vectors_are_those_of_sentence_transformers(
    which: str, request: pytest.FixtureRequest
) -> None:
    assert_same(which, request.getfixturevalue(which))


def test_the_default_model_too(tmp_path: Path) -> None:
    assert_same(MINILM, find_weights(MINILM, storage=tmp_path))


def test_vectors_cut_to_their_first_dimensions(tiny: Path, tmp_path: Path) -> None:
    cut = load_model(f"{tiny}-16d", storage=tmp_path)
    assert cut.embed_queries(TEXTS).shape == (5, 16)
    assert_same("cut", cut.folder)


def test_texts_that_pass_together_have_the_vectors_they_have_alone(tiny: Path) -> None:
    # More tokens than pass the layers at once, and texts of many lengths.
    texts = [f"refund {number} " * (number % 40 + 1) for number in range(80)]
    model = EmbeddingModel("tiny", tiny, without_torch=True)
    alone = np.concatenate([model.embed_passages([text]) for text in texts])
    np.testing.assert_allclose(model.embed_passages(texts), alone, atol=1e-5)
    tokens = model.embed_query_tokens(texts)
    assert [len(one.ids) for one in tokens] == [
        len(model.embed_query_tokens([text])[0].ids) for text in texts
    ]


@pytest.mark.parametrize("more", [["refund " * 100] * 40, ["refund"] * SLAB])
def test_more_text_than_that_is_left_to_torch(tiny: Path, more: list[str]) -> None:
    model = EmbeddingModel("tiny", tiny, without_torch=True)
    model.embed_passages(more[: len(more) // 2])
    assert "transformer" not in model.__dict__
    model.embed_passages(more)
    assert "transformer" in model.__dict__


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("shape", [(128, 48), (96, 48)])
def test_a_matrix_multiplies_the_same_in_blocks(
    at_once: bool, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bert, "multiplies_small_at_once", lambda: at_once)
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    rows = np.random.default_rng(1).normal(size=(5, 48)).astype(np.float32)
    stored = as_it_multiplies(matrix)
    assert stored.ndim == (3 if at_once and shape == (128, 48) else 2)
    np.testing.assert_allclose(bert.multiplied(rows, stored), rows @ matrix.T, atol=1e-5)


def test_who_loaded_the_weights_sees_them_change(tiny: Path) -> None:
    import torch

    model = EmbeddingModel("tiny", tiny, without_torch=True)
    before = model.embed_queries(["refund"])
    with torch.no_grad():
        for weights in model.transformer.parameters():
            weights.add_(0.1)
    assert not np.allclose(model.embed_queries(["refund"]), before, atol=1e-3)


def change(folder: Path, target: Path, file: str, **values: object) -> Path:
    """A copy of a model's folder with other settings in one of its files."""
    import shutil

    shutil.copytree(folder, target)
    path = target / file
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, **values}), "utf-8")
    return target


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"hidden_act": "silu"}),
        ("config.json", {"model_type": "distilbert"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("config.json", {"num_hidden_layers": 3}),
        ("config.json", {"hidden_size": 1024, "num_hidden_layers": 24}),
        ("1_Pooling/config.json", {"pooling_mode": "max"}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("1_Pooling/config.json", {"from_next_year": 1}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("tokenizer_config.json", {"tokenizer_class": "SomeTokenizer"}),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": False}),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
    ],
)
def test_what_is_not_known_is_left_to_sentence_transformers(
    tiny: Path, tmp_path: Path, file: str, values: dict[str, object]
) -> None:
    assert read_light(change(tiny, tmp_path / "other", file, **values)) is None


def test_gelu_is_the_exact_one() -> None:
    from scipy.special import erf

    values = np.linspace(-8, 8, 1001, dtype=np.float32)
    exact = values * (1 + erf(values.astype(np.float64) / np.sqrt(2))) / 2
    assert np.abs(gelu(values) - exact).max() < 1e-6


def test_a_question_imports_no_torch(tiny: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rag_app.models import load_model\n"
        f"model = load_model({str(tiny)!r}, storage=Path('storage'), without_torch=True)\n"
        "model.embed_queries(['how long do refunds take']); model.fingerprint\n"
        "print([name for name in ('torch', 'transformers', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
