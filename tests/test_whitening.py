"""Whitening by hand, and on passages that are mostly alike."""

import numpy as np

from rag_app.finetune.data.dev import reciprocal_ranks
from rag_app.finetune.query_map.whitening import RIDGE, whitening
from rag_app.models.query_map import QueryMap
from rag_app.vectors import Vectors


def at_unit_length(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_by_hand() -> None:
    # x is 3/5 or -3/5, y is 4/5: second moments 9/25 and 16/25, variances 9/25 and 0.
    passages = np.array([[0.6, 0.8], [-0.6, 0.8]], dtype=np.float32)
    ridge = RIDGE * (9 / 25) / 2
    x, y = 1 / (9 / 25 + ridge), 1 / (16 / 25 + ridge)
    # One question along each axis: their images have lengths x and y, and 1 in the mean of squares.
    questions = np.eye(2, dtype=np.float32)
    scale = (2 / (x**2 + y**2)) ** 0.5
    change = whitening(questions, passages)
    assert change.dtype == np.float32
    np.testing.assert_allclose(change, np.diag([x * scale, y * scale]), atol=1e-6)


def test_equal_passages_do_no_harm() -> None:
    passages = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (5, 1))
    questions = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert np.isfinite(whitening(questions, passages)).all()


def test_what_says_nothing_counts_less() -> None:
    # Twenty things, each told by one direction; in three more, all vary widely and at random.
    random = np.random.default_rng(1)
    told = 0.7 * np.eye(20)
    passages, questions = (
        at_unit_length(np.hstack([told, random.normal(0, 1, (20, 3))])) for _ in range(2)
    )
    gold = [frozenset([thing]) for thing in range(20)]

    def score(change: Vectors) -> float:
        return float(reciprocal_ranks(QueryMap(change)(questions), passages, gold).mean())

    plain = score(np.zeros((23, 23), dtype=np.float32))
    whole = whitening(questions, passages)
    assert score(whole) > plain + 0.1
