"""The query adapter by hand, and as sentence-transformers' modules."""

from typing import Any

import numpy as np
import torch

from rag_app.models.query_map import QueryMap
from rag_app.vectors import Vectors


def vectors(*rows: list[float]) -> Vectors:
    return np.array(rows, dtype=np.float32)


def at_unit_length(rows: Any) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def through_modules(query_map: QueryMap, questions: Vectors) -> Vectors:
    features: Any = {"sentence_embedding": torch.from_numpy(questions)}
    for module in query_map.modules():
        features = module(features)
    return np.asarray(features["sentence_embedding"].detach().numpy(), dtype=np.float32)


def test_a_map_by_hand() -> None:
    questions = vectors([1, 0], [0, 1], [0.6, 0.8])
    still = QueryMap(np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(still(questions), questions)
    # (x, y) -> (x + 0, y + x): (1, 0) goes to (1, 1), (0, 1) stays, (3/5, 4/5) to (3/5, 7/5).
    moved = QueryMap(vectors([0, 0], [1, 0]))(questions)
    expected = vectors([1 / 2**0.5, 1 / 2**0.5], [0, 1], [3 / 58**0.5, 7 / 58**0.5])
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    # A question that is mapped to nothing stays a number.
    gone = QueryMap(vectors([-1, 0], [0, 0]))(questions[:1])
    np.testing.assert_array_equal(gone, [[0.0, 0.0]])


def test_modules_do_the_same() -> None:
    random = np.random.default_rng(3)
    questions = at_unit_length(random.normal(size=(50, 8)))
    query_map = QueryMap(random.normal(size=(8, 8)).astype(np.float32))
    moved = query_map(questions)
    assert np.abs(moved - questions).max() > 0.1
    np.testing.assert_allclose(through_modules(query_map, questions), moved, atol=1e-6)


def test_no_change_is_none() -> None:
    questions = vectors([0.6, 0.8], [0.8, 0.6])
    still = QueryMap(np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(through_modules(still, questions), questions, atol=1e-7)
