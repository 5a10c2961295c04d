"""No passage is embedded twice by one model, nor served to another."""

from pathlib import Path

import numpy as np
import pytest
from fakes import DIMENSION, WordModel

from rag_app.index import VectorCache


@pytest.fixture
def model() -> WordModel:
    return WordModel()


def test_a_passage_is_embedded_once(tmp_path: Path, model: WordModel) -> None:
    cache = VectorCache(tmp_path)
    first = cache.embed_passages(model, ["one", "two two", "one"])
    assert sorted(model.embedded) == ["one", "two two"]
    again = VectorCache(tmp_path).embed_passages(model, ["two two", "three", "one"])
    assert sorted(model.embedded) == ["one", "three", "two two"]
    assert np.array_equal(again[[2, 0]], first[:2])
    assert np.array_equal(first, WordModel().embed_passages(["one", "two two", "one"]))


def test_another_model_does_not_get_these_vectors(tmp_path: Path, model: WordModel) -> None:
    cache = VectorCache(tmp_path)
    tuned = WordModel("tuned", seed=1)
    cache.embed_passages(model, ["one"])
    vectors = cache.embed_passages(tuned, ["one"])
    assert tuned.embedded == ["one"]
    assert np.array_equal(vectors, WordModel("tuned", seed=1).embed_passages(["one"]))


def test_the_cache_keeps_what_was_embedded_before_a_run_died(tmp_path: Path) -> None:
    class Dying(WordModel):
        """Dies on its second slab of 256 texts."""

        def embed_passages(self, texts, **_):  # type: ignore[no-untyped-def]
            if self.embedded:
                raise KeyboardInterrupt
            return super().embed_passages(texts)

    texts = [f"text{number:03}" for number in range(300)]
    with pytest.raises(KeyboardInterrupt):
        VectorCache(tmp_path).embed_passages(Dying(), texts)
    model = WordModel()
    VectorCache(tmp_path).embed_passages(model, texts)
    assert len(model.embedded) == 300 - 256


def test_no_texts_give_an_empty_array(tmp_path: Path, model: WordModel) -> None:
    assert VectorCache(tmp_path).embed_passages(model, []).shape == (0, DIMENSION)
