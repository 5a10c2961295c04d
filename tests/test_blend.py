"""Averages of base and tuned weights: by hand, and as the engine saves them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_finetune import OPTIONS, WORDS, make_engine, weights
from tiny import make_tiny_model

from rag_app.finetune.train.blend import set_blend
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
