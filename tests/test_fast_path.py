"""Packed texts and CUDA-graph steps change the speed of a training and nothing else.

Without the private names that they use, padded batches train the same model.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import TripletLoss
from sentence_transformers.sentence_transformer.modules import Transformer
from test_finetune import OPTIONS, ROWS, SUBJECTS, Recorder, make_base, make_engine, row_of, weights

from rag_app.finetune.options import TrainingOptions, TrainingRow
from rag_app.finetune.train import cuda_graph, fast_path, packed, packed_columns, trainer
from rag_app.finetune.train.engine import EmbeddingFinetuneEngine
from rag_app.finetune.train.losses import PackedColumnsRankingLoss
from rag_app.models import EmbeddingModel

# Small steps: Adam's make much of the last digits of a gradient that is nearly 0.
SMALL = replace(OPTIONS, epochs=2, learning_rate=1e-4)
TRIPLES = [
    replace(row, negatives=(row_of(SUBJECTS[(number + 7) % 48]).passage,))
    for number, row in enumerate(ROWS)
]

pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rounding to bfloat16, which would hide small differences."""
    for module in ("run", "both_trainers"):
        monkeypatch.setattr(f"rag_app.finetune.train.{module}.has_bf16", lambda _: False)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """How the texts were that passed a model in training: "packed" or "padded"."""
    seen: set[str] = set()
    forward = SentenceTransformer.forward

    def note(model: SentenceTransformer, features: dict[str, Any], **more: Any) -> Any:
        if model.training:
            seen.add("packed" if "cu_seq_lens_q" in features else "padded")
        return forward(model, features, **more)

    monkeypatch.setattr(SentenceTransformer, "forward", note)
    return seen


def train(
    base: EmbeddingModel,
    target: Path,
    *,
    rows: Sequence[TrainingRow] = ROWS,
    options: TrainingOptions = SMALL,
    padded: bool = False,
    progress: Recorder | None = None,
) -> EmbeddingFinetuneEngine:
    """A finished training."""
    engine = make_engine(base, target, rows=rows, options=options, progress=progress or Recorder())
    engine.padded = padded
    engine.finetune()
    return engine


def assert_like(one: EmbeddingFinetuneEngine, other: EmbeddingFinetuneEngine) -> None:
    """The same losses, dev scores and weights, up to what the order of sums rounds."""
    found, expected = one.finished_report(), other.finished_report()
    assert expected.losses
    assert found.losses == pytest.approx(expected.losses, abs=1e-4)
    assert_like_weights(one, other)


def assert_like_weights(one: EmbeddingFinetuneEngine, other: EmbeddingFinetuneEngine) -> None:
    """The same dev scores and weights."""
    expected = other.finished_report()
    assert one.finished_report().dev_mrr == pytest.approx(expected.dev_mrr, abs=1e-6)
    before, after = weights(other.base.folder), weights(other.target)
    assert max(np.abs(after[name] - before[name]).max() for name in before) > SMALL.learning_rate
    for name, values in weights(one.target).items():
        # What is added to all keys changes no attention: its gradient is 0 but for rounding, which
        # Adam makes a whole step of.
        if not name.endswith("key.bias"):
            near = SMALL.learning_rate / 10
            np.testing.assert_allclose(values, after[name], atol=near, err_msg=name)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (ROWS, SMALL),
        (TRIPLES, SMALL),
        (TRIPLES, replace(SMALL, loss="triplet")),
        (ROWS, replace(SMALL, batch_size=16, mini_batch=4)),
        (ROWS, replace(SMALL, method="lora")),
    ],
    ids=["pairs", "with negatives", "triplets", "in pieces", "lora"],
)
def test_padded_and_packed_trainings_bring_the_same_model(
    base: EmbeddingModel,
    tmp_path: Path,
    in_float32: None,
    passes: set[str],
    rows: list[TrainingRow],
    options: TrainingOptions,
) -> None:
    plain = train(base, tmp_path / "plain", rows=rows, options=options, padded=True)
    assert passes == {"padded"}
    passes.clear()
    fast = train(base, tmp_path / "fast", rows=rows, options=options)
    assert passes == {"packed"}
    assert_like(fast, plain)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Transformer, "_infer_flatten_position_offset"),
        (torch, "_softmax_backward_data"),
        (TripletLoss, "compute_loss_from_embeddings"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_without_a_name_that_packing_uses_batches_are_padded(
    base: EmbeddingModel,
    tmp_path: Path,
    in_float32: None,
    passes: set[str],
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
) -> None:
    told = Recorder()
    monkeypatch.delattr(owner, name)
    found = train(base, tmp_path / "found", progress=told)
    assert passes == {"padded"}
    [line] = [note for _, _, total, note in told.calls if not total]
    assert f"{owner.__name__}.{name}" in line
    assert "padded" in line
    assert_like(found, train(base, tmp_path / "plain", padded=True))


def test_the_installed_libraries_have_all_names(base: EmbeddingModel) -> None:
    model: Any = base.transformer
    assert packed.can_pack(model)
    assert packed.missing_names(model) == packed_columns.missing_names(model) == []
    told = Recorder()
    assert trainer.choose_trainer(told) is trainer.PairTrainer
    assert told.calls == []


def test_the_names_are_listed_where_they_are_used() -> None:
    assert all(name in (packed.__doc__ or "") for name in packed.NAMES)
    assert all(name in (cuda_graph.__doc__ or "") for name in cuda_graph.TRAINER_NAMES)


def training_on_a_gpu(
    model: Any, monkeypatch: pytest.MonkeyPatch, optimizer: type[torch.optim.Optimizer]
) -> tuple[Any, torch.optim.Optimizer]:
    """What stands for a trainer whose model gains by CUDA graphs, and its optimizer."""
    monkeypatch.setattr(cuda_graph, "gains_by_cuda_graph", lambda _: True)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", tuple)
    standing = SimpleNamespace(
        model=model,
        loss=PackedColumnsRankingLoss(model),
        args=SimpleNamespace(max_grad_norm=1.0),
        collect_features=None,
        compute_loss_context_manager=None,
    )
    return standing, optimizer(model.parameters(), lr=1e-3)  # type: ignore[call-arg]


def loss_of(packed: dict[str, Any], counts: Sequence[int]) -> torch.Tensor:
    raise AssertionError("no step was asked for")


def test_steps_are_cuda_graphs_where_that_is_faster(
    base: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Recorder()
    training, adam = training_on_a_gpu(base.transformer, monkeypatch, torch.optim.AdamW)
    step = fast_path.cuda_graph_step(training, adam, loss_of, progress=told)
    assert isinstance(step, cuda_graph.CudaGraphStep)
    training.loss = torch.nn.Identity()
    assert fast_path.cuda_graph_step(training, adam, loss_of, progress=told) is None
    assert told.calls == []


def test_without_a_name_that_cuda_graphs_use_steps_are_the_trainer_s(
    base: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Recorder()
    training, sgd = training_on_a_gpu(base.transformer, monkeypatch, torch.optim.SGD)
    del training.collect_features
    assert fast_path.cuda_graph_step(training, sgd, loss_of, progress=told) is None
    [(_, _, _, line)] = told.calls
    assert "trainer.collect_features, SGD.param_groups.capturable" in line
    assert "without CUDA graphs" in line


def test_without_a_name_that_checkpoints_use_they_hold_whole_models(
    base: EmbeddingModel, tmp_path: Path, in_float32: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch is taken, and a run that was stopped goes on, as with ours."""
    options = replace(OPTIONS, epochs=2)
    expected = train(base, tmp_path / "expected", options=options)
    monkeypatch.setattr(trainer, "CHECKPOINT_NAMES", (*trainer.CHECKPOINT_NAMES, "_gone"))
    target, steps = tmp_path / "found", 6
    with pytest.raises(KeyboardInterrupt):
        train(base, target, options=options, progress=Recorder(stop_at=steps + 2))
    [checkpoint] = target.with_name("found.training").glob("checkpoint-*")
    assert (checkpoint / "modules.json").is_file()
    told = Recorder()
    found = train(base, target, options=options, progress=told)
    assert "trainer._gone" in told.calls[0][3]
    assert told.calls[1][1] == steps + 1
    assert_like_weights(found, expected)


@pytest.mark.parametrize("names", [(), ("_gone",)], ids=["trained weights", "whole models"])
def test_a_checkpoint_is_restored(
    base: EmbeddingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    """Its weights come back, whatever was done to the model since."""
    monkeypatch.setattr(trainer, "CHECKPOINT_NAMES", (*trainer.CHECKPOINT_NAMES, *names))
    model: Any = SentenceTransformer(str(base.folder), device="cpu")
    from sentence_transformers import SentenceTransformerTrainingArguments

    kind = trainer.choose_trainer(Recorder())
    saving = kind(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path), use_cpu=True, report_to=[]
        ),
        loss=PackedColumnsRankingLoss(model),
    )
    saving.save_model(str(tmp_path / "checkpoint-1"))
    before = {name: values.clone() for name, values in model.state_dict().items()}
    with torch.no_grad():
        for values in model.parameters():
            values.zero_()
    saving.restore(str(tmp_path / "checkpoint-1"))
    for name, values in model.state_dict().items():
        torch.testing.assert_close(values, before[name], atol=0, rtol=0)
