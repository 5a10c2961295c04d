"""No passage is embedded twice by one model, nor served to another."""

import sqlite3
from collections.abc import Callable
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


# Damage


def fill(tmp_path: Path, model: WordModel) -> Path:
    cache = VectorCache(tmp_path)
    cache.embed_passages(model, ["one", "two", "three"])
    model.embedded.clear()
    return cache.path


@pytest.mark.parametrize(
    "vector",
    [
        np.ones(DIMENSION - 1, np.float32) / 8,
        np.zeros(DIMENSION, np.float32),
        np.full(DIMENSION, np.nan, np.float32),
        np.ones(DIMENSION, np.float32),
        np.ones(DIMENSION // 2, np.float64),
    ],
    ids=["short", "zero", "nan", "long", "float64"],
)
def test_a_vector_that_cannot_be_right_is_made_anew(
    tmp_path: Path, model: WordModel, vector: np.ndarray
) -> None:
    path = fill(tmp_path, model)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vectors SET vector = ?", (vector.tobytes(),))
    connection.close()
    vectors = VectorCache(tmp_path).embed_passages(model, ["one", "two"])
    assert np.array_equal(vectors, WordModel().embed_passages(["one", "two"]))
    assert sorted(model.embedded) == ["one", "two"]
    VectorCache(tmp_path).embed_passages(model, ["one", "two"])
    assert len(model.embedded) == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def garble(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def garble_pages(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"x" * (len(data) - 4096))


def change_schema(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE vectors")
    connection.execute("CREATE TABLE vectors (a, b)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", [truncate, garble, garble_pages, change_schema])
def test_a_damaged_file_is_begun_anew(
    tmp_path: Path, model: WordModel, damage: Callable[[Path], None]
) -> None:
    path = fill(tmp_path, model)
    for other in path.parent.glob("*-wal"):
        other.unlink()
    damage(path)
    vectors = VectorCache(tmp_path).embed_passages(model, ["one", "four"])
    assert np.array_equal(vectors, WordModel().embed_passages(["one", "four"]))
    VectorCache(tmp_path).embed_passages(model, ["one", "four"])
    assert len(model.embedded) == 2


def test_where_none_can_be_kept_vectors_are_made(tmp_path: Path, model: WordModel) -> None:
    (tmp_path / "cache" / "vectors.sqlite").mkdir(parents=True)
    vectors = VectorCache(tmp_path).embed_passages(model, ["one"])
    assert np.array_equal(vectors, WordModel().embed_passages(["one"]))
