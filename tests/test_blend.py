"""Averages of base and tuned weights: by hand, and as the engine saves them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_finetune import DEV, OPTIONS, WORDS, make_engine, weights
from tiny import make_tiny_model

from rag_app.errors import TrainingError
from rag_app.finetune.data.dev import DevEvaluator
from rag_app.finetune.train.blend import SHARES, choose_blend, set_blend
from rag_app.models import EmbeddingModel

ONE_EPOCH = replace(OPTIONS, epochs=1)


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    folder = make_tiny_model(tmp_path_factory.mktemp("base") / "tiny", words=WORDS)
    return EmbeddingModel("acme/tiny", folder, device="cpu")


def of(*values: float) -> dict[str, torch.Tensor]:
    return {"a": torch.tensor(values), "b": torch.tensor([[10 * value for value in values]])}


BASE, TUNED = of(0.0, 4.0), of(1.0, 2.0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, (0.0, 4.0)), (0.25, (0.25, 3.5)), (0.5, (0.5, 3.0)), (1.0, (1.0, 2.0))],
)
def test_a_share_of_the_tuned_weights(share: float, expected: tuple[float, float]) -> None:
    into = of(7.0, 7.0)
    set_blend(into, BASE, TUNED, share)
    for name, values in of(*expected).items():
        torch.testing.assert_close(into[name], values)


def test_weights_that_are_trained_can_be_set() -> None:
    into = {"a": torch.nn.Parameter(torch.zeros(2))}
    set_blend(into, {"a": BASE["a"]}, {"a": TUNED["a"]}, 0.5)
    assert into["a"].tolist() == [0.5, 3.0]


class Ranks:
    """Ranks of two questions, in the order in which they are asked for; remembers the weights."""

    def __init__(self, into: dict[str, torch.Tensor], *ranks: tuple[float, float]) -> None:
        self.into = into
        self.ranks = iter(ranks)
        self.seen: list[float] = []

    def __call__(self) -> np.ndarray:
        self.seen.append(round(float(self.into["a"][0]), 6))
        return np.array(next(self.ranks))


@pytest.mark.parametrize(
    ("ranks", "share", "best"),
    [
        # Shares .3, .5, .7 and 1: the usual one, .5, is the best.
        (((0.1, 0.1), (0.4, 0.4), (0.3, 0.3), (0.2, 0.2)), 0.5, 0.4),
        # Another is better on both questions.
        (((0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4)), 1.0, 0.4),
        (((0.9, 0.9), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4)), 0.3, 0.9),
        # Or on one, as much as it is worse on the other, nearly.
        (((0.1, 0.1), (0.2, 0.2), (0.6, 0.0), (0.0, 0.0)), 0.5, 0.2),
        (((0.4, 0.4), (0.4, 0.4), (0.4, 0.4), (0.4, 0.4)), 0.5, 0.4),
        # Of equally good ones that beat it, the one nearest the base.
        (((0.1, 0.1), (0.2, 0.2), (0.4, 0.4), (0.4, 0.4)), 0.7, 0.4),
    ],
)
def test_the_usual_share_stays_unless_another_is_better(
    ranks: tuple[tuple[float, float], ...], share: float, best: float
) -> None:
    into = of(7.0, 7.0)
    asked = Ranks(into, *ranks)
    assert choose_blend(into, BASE, TUNED, asked) == pytest.approx((share, best))
    # The first weight goes from 0 to 1, so it is the share itself.
    assert asked.seen == list(SHARES)
    assert into["a"].tolist() == pytest.approx([share, 4 - 2 * share])


def test_the_engine_saves_the_share_that_it_is_told(base: EmbeddingModel, tmp_path: Path) -> None:
    for name, share in (("tuned", 1.0), ("half", 0.25)):
        engine = make_engine(
            base, tmp_path / name, dev=None, options=replace(ONE_EPOCH, blend=share)
        )
        engine.finetune()
        assert engine.finished_report().blend == share
    before, tuned, half = (
        weights(folder) for folder in (base.folder, tmp_path / "tuned", tmp_path / "half")
    )
    assert any(np.abs(before[name] - tuned[name]).max() > 1e-3 for name in before)
    for name, values in half.items():
        expected = 3 / 4 * before[name] + 1 / 4 * tuned[name]
        np.testing.assert_allclose(values, expected, atol=1e-5, err_msg=name)


def test_the_engine_chooses_the_share_on_dev(base: EmbeddingModel, tmp_path: Path) -> None:
    engine = make_engine(base, tmp_path / "x", options=replace(ONE_EPOCH, blend=None))
    engine.finetune()
    report = engine.finished_report()
    assert report.blend in SHARES
    assert report.saved_dev_mrr is not None
    saved = DevEvaluator(DEV, base.prompts)(engine.load().transformer)["dev_mrr@10"]
    assert saved == pytest.approx(report.saved_dev_mrr, abs=0.02)


def test_to_choose_a_share_takes_dev_questions(base: EmbeddingModel, tmp_path: Path) -> None:
    engine = make_engine(base, tmp_path / "x", dev=None, options=replace(ONE_EPOCH, blend=None))
    with pytest.raises(TrainingError, match="--blend auto needs dev questions"):
        engine.finetune()
    assert not (tmp_path / "x").exists()
