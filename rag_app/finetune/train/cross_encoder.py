"""Training a cross-encoder on rows with negatives, by sentence-transformers' own trainer."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from rag_app.disk import whole_folder
from rag_app.errors import TrainingError
from rag_app.evaluate.ranks import reciprocal_rank
from rag_app.finetune.data.dev import DEPTH, DEV_METRIC
from rag_app.finetune.options import (
    REPORT_FILE,
    TrainingOptions,
    TrainingReport,
    TrainingRow,
    read_report,
    write_report,
)
from rag_app.finetune.train.both_trainers import common_arguments, report_of
from rag_app.finetune.train.callbacks import Diverged, LogSteps, StepLog, Watch, unlogged
from rag_app.finetune.train.memory import ran_out_of_memory
from rag_app.finetune.train.run import last_whole_checkpoint, switch_off_dropout
from rag_app.finetune.train.trainer import BestCheckpoint
from rag_app.models.cross_encoder import untrained_cross_encoder
from rag_app.models.device import choose_device
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from transformers import TrainerCallback


@dataclass(frozen=True)
class DevCandidates:
    """A dev question with the passages that a retriever found, nearest first, and the right ones.

    What is right and was not found stays unfound.
    """

    question: str
    found: Sequence[str]
    right: Sequence[str]


class RerankEvaluator(BaseEvaluator):
    """Scores a cross-encoder in training; sentence-transformers calls it after each epoch.

    Its own evaluator computes nDCG as well, and fails where a question has one candidate.
    """

    def __init__(self, dev: Sequence[DevCandidates]) -> None:
        super().__init__()
        self.dev = dev
        self.primary_metric = DEV_METRIC

    def __call__(self, model: "CrossEncoder", *_args: Any, **_kwargs: Any) -> dict[str, float]:
        """Mean reciprocal rank of the first right passage among the first ten."""
        ranks = [reciprocal_rank(_reranked(model, one), one.right) for one in self.dev]
        return {DEV_METRIC: sum(ranks) / len(ranks)}


def _reranked(model: "CrossEncoder", dev: DevCandidates) -> list[str]:
    """The ten best passages by the model, best first."""
    pairs = [(dev.question, passage) for passage in dev.found]
    order = np.argsort(-model.predict(pairs, show_progress_bar=False), kind="stable")
    return [dev.found[row] for row in order[:DEPTH]]


def train_cross_encoder(
    base: Path,
    rows: Sequence[TrainingRow],
    *,
    dev: Sequence[DevCandidates],
    target: Path,
    options: TrainingOptions,
    device: str = "auto",
    progress: Progress = silent,
    log: StepLog = unlogged,
) -> TrainingReport:
    """Train on each question's right passage against its negatives, and save the best epoch.

    The loss is LambdaLoss (Wang et al. 2018, "The LambdaLoss Framework for Ranking Metric
    Optimization", CIKM), which looks at the order of a question's passages alone. A run that was
    killed goes on from its last epoch; one whose folder is there is not run again.

    Arguments:
        base: folder of any transformer; its last layer is made new unless it is a cross-encoder.
        rows: each with one negative or more.
        dev: chooses the epoch; without it the last is taken.
        log: called with loss, learning rate and dev MRR@10 as they are known.
        target: the folder to write, a sentence-transformers CrossEncoder.
    Raises:
        ModelError: the base cannot be made a cross-encoder.
        TrainingError: training diverges, or the memory is too small.
        StorageError: the disk is full.
    """
    if (target / REPORT_FILE).is_file():
        return read_report(target)
    work = target.with_name(target.name + ".training")
    device = choose_device(device)
    model = untrained_cross_encoder(
        base, device=device, max_tokens=options.max_tokens, seed=options.seed
    )
    started = time.monotonic()
    try:
        arguments = _arguments(work, options, device, bool(dev))
        watching = [Watch(progress), LogSteps(log), BestCheckpoint()]
        history = _train(model, rows, dev, arguments, watching)
    except Diverged:
        shutil.rmtree(work, ignore_errors=True)  # Nothing in it is worth going on from.
        raise
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise TrainingError(
            f"the memory does not hold a training with the passages of {options.batch_size} "
            "questions at once; run again with a smaller --batch-size or --max-tokens"
        ) from error
    seconds = time.monotonic() - started
    report = report_of(
        history,
        options,
        device,
        seconds=seconds,
        pairs_per_second=options.epochs * len(rows) / seconds,
    )
    with whole_folder(target) as folder:
        model.save_pretrained(str(folder), create_model_card=False)
        write_report(report, folder)
    shutil.rmtree(work, ignore_errors=True)
    return report


def _train(
    model: "CrossEncoder",
    rows: Sequence[TrainingRow],
    dev: Sequence[DevCandidates],
    arguments: Any,
    watching: Sequence["TrainerCallback"],
) -> list[dict[str, Any]]:
    """Train in place; returns what the trainer logged."""
    from sentence_transformers.cross_encoder import CrossEncoderTrainer
    from sentence_transformers.cross_encoder.losses import LambdaLoss
    from transformers.trainer_callback import PrinterCallback

    loss = LambdaLoss(model)
    switch_off_dropout(loss)
    trainer = CrossEncoderTrainer(
        model=model,
        args=arguments,
        train_dataset=_lists(rows),
        loss=loss,
        evaluator=RerankEvaluator(dev) if dev else None,
        callbacks=list(watching),
    )
    # Its own reports would be printed over ours.
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(Path(arguments.output_dir)))
    history: list[dict[str, Any]] = trainer.state.log_history
    return history


def _lists(rows: Sequence[TrainingRow]) -> "Dataset":
    """A question, its passages, and 1 for the right one: as listwise losses read them."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "question": [row.question for row in rows],
            "passages": [[row.positive, *row.negatives] for row in rows],
            "labels": [[1.0, *(0.0 for _ in row.negatives)] for row in rows],
        }
    )


def _arguments(work: Path, options: TrainingOptions, device: str, has_dev: bool) -> Any:
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    common = common_arguments(work, options, device, has_dev=has_dev)
    return CrossEncoderTrainingArguments(**common, save_total_limit=1)
