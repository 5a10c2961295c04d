"""Batches that fall with the memory, on a loss that has room for so many pairs and no more."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_finetune import OPTIONS, Recorder, assert_same_weights, make_base, make_engine
from torch import nn
from torch.nn import functional

from rag_app.errors import TrainingError
from rag_app.finetune.train.losses import LOSSES, LossEntry
from rag_app.models import EmbeddingModel

ROOM = 8
# 48 pairs in batches of 32, which do not fit, are 2 steps an epoch; of 16 they are 3, of 8 they
# are 6.
FITTING_STEPS = 6
GREEDY = replace(OPTIONS, loss="greedy", batch_size=32, batch_can_fall=True)


pytestmark = pytest.mark.usefixtures("single_thread")


class Greedy(nn.Module):
    """In-batch negatives, for `ROOM` pairs at most."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Sequence[dict[str, torch.Tensor]], _: object) -> torch.Tensor:
        questions, passages = (self.model(column)["sentence_embedding"] for column in features)
        if len(questions) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        scores = 20 * questions @ passages.T
        return functional.cross_entropy(scores, torch.arange(len(scores)))


@pytest.fixture(autouse=True)
def _greedy() -> Iterator[None]:
    LOSSES["greedy"] = LossEntry(lambda model, _, __: Greedy(model), LOSSES["mnrl"].columns)
    yield
    del LOSSES["greedy"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


def test_batches_fall_until_they_fit(base: EmbeddingModel, tmp_path: Path) -> None:
    seen = Recorder()
    make_engine(base, tmp_path / "x", options=GREEDY, progress=seen).finetune()
    notes = [note for _, _, total, note in seen.calls if not total]
    assert notes == [
        f"memory is short: batches of {size}, in pieces of {size}" for size in (16, ROOM)
    ]
    assert seen.calls[-1][1:3] == (3 * FITTING_STEPS, 3 * FITTING_STEPS)
    # What was learned is what batches of this size teach.
    fitting = replace(GREEDY, batch_size=ROOM)
    make_engine(base, tmp_path / "y", options=fitting).finetune()
    assert_same_weights(tmp_path / "x", tmp_path / "y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


def test_batches_that_may_not_fall_end_with_the_mend(base: EmbeddingModel, tmp_path: Path) -> None:
    options = replace(GREEDY, batch_can_fall=False)
    with pytest.raises(TrainingError) as caught:
        make_engine(base, tmp_path / "x", options=options).finetune()
    assert str(caught.value).startswith(
        "the memory does not hold a training with batches of 32; run again with --batch-size auto,"
    )


# 3 epochs: 18 steps of small batches, 6 of which are done; or 6 of large ones.
@pytest.mark.parametrize(("room", "first", "last"), [(ROOM, 7, 18), (64, 1, 6)])
def test_a_stopped_training_goes_on_with_the_batches_that_fit(
    base: EmbeddingModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    first: int,
    last: int,
) -> None:
    stopped = make_engine(
        base, tmp_path / "x", options=GREEDY, progress=Recorder(stop_at=FITTING_STEPS + 2)
    )
    with pytest.raises(KeyboardInterrupt):
        stopped.finetune()
    # Where memory has become free, the training is that of the large batches: the steps of the
    # small ones are others.
    monkeypatch.setattr("test_batch_size_auto.ROOM", room)
    seen = Recorder()
    make_engine(base, tmp_path / "x", options=GREEDY, progress=seen).finetune()
    expected = replace(GREEDY, batch_size=min(32, room))
    make_engine(base, tmp_path / "y", options=expected).finetune()
    assert_same_weights(tmp_path / "x", tmp_path / "y")
    steps = [done for _, done, total, _ in seen.calls if total]
    assert steps == list(range(first, last + 1))
