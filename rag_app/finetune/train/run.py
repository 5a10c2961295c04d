"""One run of the trainer: from rows to a trained model, going on from the last checkpoint."""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.finetune.data.batches import batch_count, clean_batches, groups_against
from rag_app.finetune.data.dev import DevEvaluator, DevSet
from rag_app.finetune.options import TrainingOptions, TrainingRow, tokens_read
from rag_app.finetune.train.both_trainers import common_arguments
from rag_app.finetune.train.callbacks import Diverged, LogSteps, StepLog, Trim, Watch, unlogged
from rag_app.finetune.train.fast_path import pack_where_faster
from rag_app.finetune.train.losses import LossEntry, at_cut, find_loss, training_dataset
from rag_app.finetune.train.memory import explain, free_memory, ran_out_of_memory
from rag_app.finetune.train.methods import Finish, find_method
from rag_app.finetune.train.processes import receive, world_size
from rag_app.finetune.train.trainer import BestCheckpoint, choose_trainer
from rag_app.models import Prompts
from rag_app.models.device import has_bf16
from rag_app.models.embedding import load_transformer
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

SMALLEST_PIECE = 4


@dataclass(frozen=True)
class TrainingJob:
    """All that decides a run of the trainer; small enough to send to other processes.

    Fields:
        base: folder of the model to start from.
        work: folder of the checkpoints.
        padded: batches are padded, also where packed texts are faster.
    """

    base: Path
    prompts: Prompts
    max_tokens: int
    rows: Sequence[TrainingRow]
    dev: DevSet | None
    options: TrainingOptions
    device: str
    work: Path
    padded: bool = False


@dataclass(frozen=True)
class Trained:
    """A trained model in memory, with its weights as they are saved, and how training went.

    Fields:
        history: what the trainer logged.
        pairs_per_second: of this run, dev scores included.
        diverged: the error that ended it; the model is that of the last checkpoint before.
        whole_epochs: that the model was trained for, where it diverged.
    """

    model: "SentenceTransformer"
    history: list[dict[str, Any]]
    seconds: float
    pairs_per_second: float
    diverged: Diverged | None = None
    whole_epochs: int = 0


def follow() -> None:
    """Train with the leader, job after job, until it has no more."""
    while (job := receive()) is not None:
        train(job)


def train(job: TrainingJob, *, progress: Progress = silent, log: StepLog = unlogged) -> Trained:
    """Train; if memory is short, again with smaller pieces of a batch, which only cost time.

    Arguments:
        log: called with loss and learning rate every few steps, and with the MRR@10 on dev.
    Raises:
        TrainingError: a loss or method is unknown or does not fit the model; the memory does not
            hold the smallest pieces; training diverges before the first checkpoint.
        StorageError: the disk is full.
    """
    options = job.options
    while True:
        batch = options.batch_size
        # Steps of a smaller batch are others: its checkpoints must not be taken for these.
        work = job.work if batch == job.options.batch_size else job.work / f"batch-{batch}"
        try:
            trained = _train(replace(job, options=options, work=work), progress, log)
            # The trainer refers to itself, so its optimizer would stay for a while.
            trained.model.zero_grad()
            free_memory()
            return trained
        except Exception as error:
            smaller = _smaller(options) if ran_out_of_memory(error) else None
            if smaller:
                options = smaller
                progress(
                    "train",
                    0,
                    0,
                    f"memory is short: batches of {options.batch_size}, "
                    f"in pieces of {min(options.mini_batch, options.batch_size)}",
                )
                continue
            mendable = explain(
                error,
                folder=job.work.parent,
                batch_size=batch,
                piece=min(options.mini_batch, batch) if find_loss(options.loss).in_pieces else None,
                can_fall=options.batch_can_fall,
            )
            if mendable is None:
                raise
            raise mendable from error


def _smaller(options: TrainingOptions) -> TrainingOptions | None:
    """Half the memory, if there is a way: smaller pieces first, which change no result."""
    piece = min(options.mini_batch, options.batch_size) // 2
    if find_loss(options.loss).in_pieces and piece >= SMALLEST_PIECE:
        return replace(options, mini_batch=piece)
    batch = options.batch_size // 2
    if options.batch_can_fall and batch >= SMALLEST_PIECE:
        return replace(options, batch_size=batch)
    return None


def _train(job: TrainingJob, progress: Progress, log: StepLog) -> Trained:
    from transformers import set_seed
    from transformers.trainer_callback import PrinterCallback

    set_seed(job.options.seed)
    loss = find_loss(job.options.loss)
    model, finish = _fresh_model(job, loss, progress)
    criterion = loss.build(model, job.options, job.rows)
    if loss.trains_on == "pairs":
        criterion = at_cut(model, criterion)
    switch_off_dropout(criterion)
    examples = [row for row in job.rows for _ in range(loss.repeats(row))]
    groups = [row.group for row in examples]
    # A triplet's negative is its own, and nobody else's in the batch.
    against = [] if loss.needs_negatives else groups_against(examples)
    dataset, damage = training_dataset(loss.columns(job.rows), seed=job.options.seed)
    trainer = choose_trainer(progress)(
        model=model,
        args=_arguments(job, groups, against),
        train_dataset=dataset,
        loss=criterion,
        evaluator=dev_evaluator(job.dev, job.prompts, job.device) if job.dev else None,
        callbacks=[
            *(Watch(progress), LogSteps(log), Trim(), BestCheckpoint()),
            *([damage] if damage else []),
        ],
    )
    trainer.progress = progress
    # Its own reports would be printed over ours.
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_whole_checkpoint(job.work)
    resumed_at = int(checkpoint.rsplit("-", 1)[-1]) if checkpoint else 0
    started = time.monotonic()
    diverged, whole_epochs = None, 0
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except Diverged as error:
        kept = last_whole_checkpoint(job.work)
        if kept is None:
            raise
        trainer.restore(kept)
        steps = batch_count(groups, job.options.batch_size)
        diverged, whole_epochs = error, int(kept.rsplit("-", 1)[-1]) // steps
    seconds = time.monotonic() - started
    finish()
    epochs = (trainer.state.global_step - resumed_at) / max(1, trainer.state.max_steps)
    pairs = epochs * job.options.epochs * len(job.rows)
    return Trained(
        model, trainer.state.log_history, seconds, pairs / seconds, diverged, whole_epochs
    )


def dev_evaluator(dev: DevSet, prompts: Prompts, device: str) -> DevEvaluator:
    """Scores on dev as training sees them: at the device's best speed."""
    return DevEvaluator(dev, prompts, bf16=has_bf16(device))


def _fresh_model(
    job: TrainingJob, loss: LossEntry, progress: Progress
) -> tuple["SentenceTransformer", Finish]:
    model = load_transformer(job.base, job.device)
    method = find_method(job.options.method, loss=job.options.loss)
    if loss.reads_packed and not job.padded:
        pack_where_faster(model, job.device, progress=progress)
    finish = method.prepare(model)
    model.max_seq_length = tokens_read(job.options.max_tokens, job.max_tokens)
    return model, finish


def _arguments(job: TrainingJob, groups: Sequence[str], against: Sequence[frozenset[str]]) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments

    # A GPU is faster than one process prepares its batches. What damages texts anew in each epoch
    # stays in the process that counts them, and only on Linux others begin with what this one has.
    of_pairs = find_loss(job.options.loss).trains_on == "pairs"
    ahead = job.device == "cuda" and of_pairs and sys.platform == "linux"
    several = world_size() > 1
    own: dict[str, Any] = {
        "per_device_train_batch_size": job.options.batch_size // world_size(),
        "batch_sampler": clean_batches(groups, against=against, processes=world_size()),
        "prompts": column_prompts(job.prompts),
        "accelerator_config": {"even_batches": False},
        "ddp_backend": "gloo" if job.device == "cpu" and several else None,
        "save_total_limit": 2,
        # Said only where there are several processes, whose batches are equal already.
        "dataloader_drop_last": several,
        # Its thread would disturb a capture of CUDA graphs.
        "dataloader_pin_memory": False,
        "dataloader_num_workers": 2 if ahead else 0,
        "dataloader_persistent_workers": ahead,
    }
    common = common_arguments(job.work, job.options, job.device, has_dev=job.dev is not None)
    return SentenceTransformerTrainingArguments(**{**common, **own})


def switch_off_dropout(criterion: "nn.Module") -> None:
    """No dropout in the model or its loss: on a CPU random numbers take a fifth of each step."""
    from torch import nn

    for module in criterion.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def column_prompts(prompts: Prompts) -> dict[str, str] | None:
    """Prompts by training column, for the trainer."""
    if not (prompts.query or prompts.passage):
        return None
    negatives = {f"negative_{number}": prompts.passage for number in range(1, 100)}
    passages = {"positive": prompts.passage, "negative": prompts.passage, **negatives}
    return {"anchor": prompts.query, **passages}


def last_whole_checkpoint(work: Path) -> str | None:
    """The newest checkpoint that was written to its end; torn ones are removed.

    The trainer's state is the last file that it writes.
    """
    checkpoints = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1]))
    for checkpoint in reversed(checkpoints):
        if _is_whole(checkpoint / "trainer_state.json"):
            return str(checkpoint)
        shutil.rmtree(checkpoint)
    return None


def _is_whole(path: Path) -> bool:
    """Whether a JSON file is there to its last bracket."""
    try:
        json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return True
