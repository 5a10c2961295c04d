"""The lines that load a tuned model elsewhere give the vectors that were judged."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from test_adapter import PASSAGES, QUESTIONS, train
from test_finetune import make_base
from tiny import make_tiny_model

from rag_app.finetune.loading import llama_index_code, sentence_transformers_code
from rag_app.models import EmbeddingModel
from rag_app.models.plain import PlainEncode
from rag_app.vectors import Vectors

pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    """With prompts and a query adapter."""
    folder = tmp_path_factory.mktemp("tuned")
    train(make_base(folder), folder / "tiny-adapter")
    return EmbeddingModel("tiny-adapter", folder / "tiny-adapter", device="cpu")


def executed(lines: Sequence[str]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)  # noqa: S102
    return names


def judged(model: EmbeddingModel) -> tuple[Vectors, Vectors]:
    return model.embed_queries(["your question"]), model.embed_passages(["your passage"])


@pytest.mark.usefixtures("float32")
def test_sentence_transformers_gives_what_was_judged(tuned: EmbeddingModel) -> None:
    names = executed(sentence_transformers_code(tuned.folder))
    query, passage = judged(tuned)
    np.testing.assert_allclose(names["queries"], query, atol=1e-5)
    np.testing.assert_allclose(names["passages"], passage, atol=1e-5)
    # The very lines, on texts whose questions the adapter moves.
    asked = names["model"].encode_query(QUESTIONS, normalize_embeddings=True)
    np.testing.assert_allclose(asked, tuned.embed_queries(QUESTIONS), atol=1e-5)


@pytest.mark.usefixtures("float32")
def test_llama_index_gives_what_was_judged(tuned: EmbeddingModel) -> None:
    names = executed(llama_index_code(tuned.folder))
    query, passage = judged(tuned)
    np.testing.assert_allclose([names["query"]], query, atol=1e-5)
    np.testing.assert_allclose([names["passage"]], passage, atol=1e-5)
    embedding = names["embedding"]
    asked = [embedding.get_query_embedding(question) for question in QUESTIONS[:5]]
    np.testing.assert_allclose(asked, tuned.embed_queries(QUESTIONS[:5]), atol=1e-5)
    read = embedding.get_text_embedding_batch(PASSAGES)
    np.testing.assert_allclose(read, tuned.embed_passages(PASSAGES), atol=1e-5)


@pytest.mark.parametrize("code", [sentence_transformers_code, llama_index_code])
def test_any_folder_can_be_named(
    tuned: EmbeddingModel, tmp_path: Path, code: Callable[[Path], list[str]]
) -> None:
    folder = shutil.copytree(tuned.folder, tmp_path / 'my "best" 모델')
    names = executed(code(folder))
    vectors = names.get("queries", [names.get("query")])
    np.testing.assert_allclose(vectors, tuned.embed_queries(["your question"]), atol=1e-5)


@pytest.mark.usefixtures("float32")
def test_plain_encode_leaves_prompts_and_map_out(tuned: EmbeddingModel) -> None:
    plain = PlainEncode(tuned)
    assert not plain.is_the_same
    theirs = SentenceTransformer(str(tuned.folder), device="cpu").encode(
        QUESTIONS, normalize_embeddings=True
    )
    np.testing.assert_allclose(plain.embed_queries(QUESTIONS), theirs, atol=1e-5)
    np.testing.assert_allclose(plain.embed_passages(QUESTIONS), theirs, atol=1e-5)
    assert np.abs(theirs - tuned.embed_queries(QUESTIONS)).max() > 1e-3
    assert np.abs(theirs - tuned.embed_passages(QUESTIONS)).max() > 1e-3
    assert plain.fingerprint != tuned.fingerprint


@pytest.mark.parametrize(
    ("prompts", "same"), [(None, True), ({"query": "ask: ", "document": ""}, False)]
)
def test_plain_encode_is_the_same_where_there_is_nothing_to_leave_out(
    tmp_path: Path, prompts: dict[str, str] | None, same: bool
) -> None:
    folder = make_tiny_model(tmp_path / "tiny", prompts=prompts)
    model = EmbeddingModel("acme/tiny", folder, device="cpu")
    assert PlainEncode(model).is_the_same is same
    equal = np.allclose(
        PlainEncode(model).embed_queries(["text"]), model.embed_queries(["text"]), atol=1e-5
    )
    assert equal is same
