"""Passages whose training questions are known: their vectors moved, or the questions searched too.

Moved as in NUDGE (Zeighami, Wellmer and Parameswaran, arXiv 2409.02343), in closed form. Each way
has one step, chosen on dev questions by the share whose first passage is right, as there; of equal
steps the smallest. A passage without a training question stays where it is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag_app.vectors import Vectors

Right = npt.NDArray[np.bool_]

# Squared lengths by which a vector of unit length may move, 0 to .5 as in the paper's own code, but
# finer near 0: vectors of e5 differ by little.
STEPS = [0.0, *(0.0005 * 2 ** (n / 2) for n in range(21))]
WEIGHTS = [0.05 * n for n in range(21)]


@dataclass(frozen=True)
class Asked:
    """Questions: their vectors (m, dim), unit length, and which passages are right (m, n)."""

    vectors: Vectors
    right: Right

    def sums(self) -> Vectors:
        """The sum of the vectors of each passage's questions, (n, dim)."""
        return np.asarray(self.right.T.astype(np.float32) @ self.vectors, np.float32)

    def centred(self) -> "Asked":
        """Without what all questions have in common, their mean."""
        return Asked(self.vectors - self.vectors.mean(axis=0), self.right)


Score = Callable[[Vectors], Vectors]
"""Questions (m, dim) -> the score of each passage (m, n)."""


def plain(passages: Vectors) -> Score:
    """Cosine to the passage."""
    return lambda questions: questions @ passages.T


def preferred(passages: Vectors, train: Asked, dev: Asked) -> tuple[float, Score]:
    """The same for every passage that was asked for: what moving brings that teaches nothing."""
    asked = np.any(train.right, axis=0)
    own = plain(passages)
    return _chosen(STEPS, lambda step: lambda questions: own(questions) + step * asked, dev)


def nudge_m(passages: Vectors, train: Asked, dev: Asked) -> tuple[float, Score]:
    """NUDGE-M: each passage the same step towards its questions' sum; scored by inner product."""
    towards = _unit(train.sums())
    step = _best_step(dev, passages, towards)
    return step, plain(passages + np.float32(step) * towards)


def nudge_n(passages: Vectors, train: Asked, dev: Asked) -> tuple[float, Score]:
    """NUDGE-N: as near to its questions as a squared step allows, and of unit length still."""
    sums = train.sums()
    return _chosen(STEPS, lambda step: plain(rotated(passages, sums, step)), dev)


def rotated(passages: Vectors, towards: Vectors, squared_step: float) -> Vectors:
    """Vectors of unit length turned towards others by at most the step, (n, dim).

    Turning by an angle t moves a unit vector by 2 - 2 cos t, squared.
    """
    goal = _unit(towards)
    cosine = np.einsum("nd,nd->n", passages, goal)[:, np.newaxis]
    across = _unit(goal - cosine * passages)
    least = np.float32(1 - squared_step / 2)
    turned = least * passages + np.sqrt(1 - least**2) * across
    turned = np.where(cosine >= least, goal, turned)
    asked = np.any(towards != 0, axis=1, keepdims=True)
    return np.asarray(np.where(asked, turned, passages), np.float32)


def known_questions(passages: Vectors, train: Asked) -> Score:
    """The larger of the cosines to the passage and to the nearest of its training questions."""
    return _with_share(1.0, lambda questions: _lead(questions, passages, train), passages)


def weighted_questions(passages: Vectors, train: Asked, dev: Asked) -> tuple[float, Score]:
    """As `known_questions`, but only a share of what the nearest question adds counts."""
    return _share_chosen(lambda questions: _lead(questions, passages, train), passages, dev)


def added_questions(passages: Vectors, train: Asked, dev: Asked) -> tuple[float, Score]:
    """The passage's cosine, and a share of how near its nearest question is, from the mean's."""
    centred, asked = train.centred(), np.any(train.right, axis=0)
    return _share_chosen(
        lambda questions: np.where(asked, _nearest(questions, centred), 0), passages, dev
    )


def _share_chosen(added: Score, passages: Vectors, dev: Asked) -> tuple[float, Score]:
    own, more = plain(passages)(dev.vectors), added(dev.vectors)
    weight = max(WEIGHTS, key=lambda weight: _firsts(own + np.float32(weight) * more, dev))
    return weight, _with_share(weight, added, passages)


def _with_share(weight: float, added: Score, passages: Vectors) -> Score:
    own = plain(passages)
    return lambda questions: own(questions) + np.float32(weight) * added(questions)


def _lead(questions: Vectors, passages: Vectors, train: Asked) -> Vectors:
    """By how much each passage's nearest training question is nearer than itself; 0: it is not."""
    return np.maximum(_nearest(questions, train) - questions @ passages.T, 0)


def _nearest(questions: Vectors, train: Asked) -> Vectors:
    """The likeness of the nearest training question of each passage, (m, n); -10: it has none."""
    best = np.full((len(questions), train.right.shape[1]), -10, np.float32)
    for likeness, right in zip(train.vectors @ questions.T, train.right, strict=True):
        rows = np.flatnonzero(right)
        best[:, rows] = np.maximum(best[:, rows], likeness[:, np.newaxis])
    return best


def first_ranks(scores: Vectors, right: Right) -> npt.NDArray[np.int64]:
    """The place of each question's first right passage, from 1."""
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return np.asarray(1 + np.sum((scores > best) & ~right, axis=1), np.int64)


def _chosen(
    steps: Iterable[float], made: Callable[[float], Score], dev: Asked
) -> tuple[float, Score]:
    step = max(steps, key=lambda step: _firsts(made(step)(dev.vectors), dev))
    return step, made(step)


def _firsts(scores: Vectors, dev: Asked) -> int:
    """How many questions find a right passage first."""
    return int(np.sum(first_ranks(scores, dev.right) == 1))


def _best_step(dev: Asked, passages: Vectors, towards: Vectors) -> float:
    """The step at which most dev questions find a right passage first.

    A score is a line over the step, so a question is right between two steps; where it begins and
    ends is solved for, and the middle of what most have in common is taken.
    """
    at_rest, slope = dev.vectors @ passages.T, dev.vectors @ towards.T
    spans = [
        _span(at_rest[row, gold] - at_rest[row, ~right], slope[row, gold] - slope[row, ~right])
        for row, right in enumerate(dev.right)
        for gold in np.flatnonzero(right)
    ]
    low, high = np.array(spans).T
    edges = np.unique(np.concatenate([[0], low, high]))
    edges = edges[np.isfinite(edges) & (edges >= 0)]
    middles = np.concatenate([[0], (edges[1:] + edges[:-1]) / 2, [2 * edges[-1]]])
    counts = np.sum((low <= middles[:, np.newaxis]) & (middles[:, np.newaxis] <= high), axis=1)
    return float(middles[np.argmax(counts)])


def _span(lead: Vectors, gain: Vectors) -> tuple[float, float]:
    """From which step to which lead + step * gain is above 0 for all rivals; (inf, -inf): never."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -lead / gain
    low = max(0.0, float(np.max(crossing, where=gain > 0, initial=0)))
    high = float(np.min(crossing, where=gain < 0, initial=np.inf))
    stuck = np.any((gain == 0) & (lead <= 0))
    return (np.inf, -np.inf) if stuck or low > high else (low, high)


def _unit(vectors: Vectors) -> Vectors:
    """Of unit length; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)
