"""The query adapter by hand, and as sentence-transformers' modules."""

from typing import Any

import numpy as np
import torch

from rag_app.finetune.query_map.gate import INNER, OUTER, InDomainGate
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
    still = QueryMap.everywhere(np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(still(questions), questions)
    # (x, y) -> (x + 0, y + x): (1, 0) goes to (1, 1), (0, 1) stays, (3/5, 4/5) to (3/5, 7/5).
    moved = QueryMap.everywhere(vectors([0, 0], [1, 0]))(questions)
    expected = vectors([1 / 2**0.5, 1 / 2**0.5], [0, 1], [3 / 58**0.5, 7 / 58**0.5])
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    # A question that is mapped to nothing stays a number.
    gone = QueryMap.everywhere(vectors([-1, 0], [0, 0]))(questions[:1])
    np.testing.assert_array_equal(gone, [[0.0, 0.0]])


def test_strangers_are_moved_less_by_hand() -> None:
    # Moves by (y, -x); each entry shrinks by 1/2 - x.
    query_map = QueryMap(vectors([0, 1], [-1, 0]), gate=vectors([1, 0])[0], limit=0.5)
    questions = vectors([0.6, 0.8], [0, 1], [-0.6, 0.8])
    expected = vectors(
        [1.4 / 2**0.5, 0.2 / 2**0.5],  # (.6, .8) + (.8, -.6), whole: .5 - .6 is below 0
        [0.5 / 1.25**0.5, 1 / 1.25**0.5],  # (0, 1) + (1, 0) less .5 each
        [-0.6, 0.8],  # (.8, .6) less 1.1 each is nothing
    )
    np.testing.assert_allclose(query_map(questions), expected, atol=1e-6)


def test_modules_do_the_same() -> None:
    random = np.random.default_rng(3)
    questions = at_unit_length(random.normal(size=(50, 8)))
    change = random.normal(size=(8, 8)).astype(np.float32)
    home = random.normal(size=8).astype(np.float32)
    for query_map in (QueryMap.everywhere(change), QueryMap(change, home, 0.5)):
        moved = query_map(questions)
        assert np.abs(moved - questions).max() > 0.1
        np.testing.assert_allclose(through_modules(query_map, questions), moved, atol=1e-6)


def test_a_map_is_at_work_at_home_only() -> None:
    random = np.random.default_rng(5)
    # Passages and questions of one business share a direction; strangers have one of their own.
    own, other = np.eye(20)[0], np.eye(20)[1]
    noise = random.normal(0, 0.1, (3, 200, 20))
    passages, questions = at_unit_length(own + noise[0]), at_unit_length(own + noise[1])
    strangers = at_unit_length(other + noise[2])
    change = random.normal(0, 0.1, (20, 20)).astype(np.float32)
    kept = InDomainGate.of(questions, passages).keep(change)
    whole = QueryMap.everywhere(change)
    np.testing.assert_allclose(kept(strangers), strangers, atol=1e-6)
    alike = np.abs(kept(questions) - whole(questions)).max(axis=1) < 1e-6
    still = np.abs(kept(questions) - questions).max(axis=1) < 1e-6
    # Of 200 questions 180 are beyond the inner edge; the strangest 2 are not moved at all, nor are
    # a few whose moves were small.
    assert alike.sum() == round(200 * (1 - INNER))
    assert round(200 * OUTER) <= still.sum() < round(200 * INNER)


def test_questions_without_an_edge_are_all_at_home() -> None:
    questions = vectors([0.6, 0.8], [0.6, 0.8])
    change = vectors([0, 1], [-1, 0])
    kept = InDomainGate.of(questions, questions).keep(change)
    assert np.isfinite(kept(questions)).all()
    # What asks the same is at the edge, and another question is beyond it.
    stranger = vectors([-0.8, -0.6])
    np.testing.assert_allclose(kept(stranger), stranger, atol=1e-6)


def test_no_change_is_none_anywhere() -> None:
    questions = vectors([0.6, 0.8], [0.8, 0.6])
    kept = InDomainGate.of(questions, questions).keep(np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(kept(questions), questions, atol=1e-7)
    np.testing.assert_allclose(through_modules(kept, questions), questions, atol=1e-6)
