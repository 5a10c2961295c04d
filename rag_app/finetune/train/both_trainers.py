"""What the trainers of embedding models and of cross-encoders have in common: arguments, report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_app.finetune.data.dev import DEV_METRIC
from rag_app.finetune.options import LOG_STEPS, TrainingOptions, TrainingReport
from rag_app.finetune.train.memory import peak_memory_mb
from rag_app.models.device import has_bf16


def common_arguments(
    work: Path, options: TrainingOptions, device: str, *, has_dev: bool
) -> dict[str, Any]:
    """Fields of transformers' `TrainingArguments`.

    Arguments:
        work: folder of the checkpoints.
        has_dev: the epoch with the best score on dev is taken, else the last.
    """
    return {
        "output_dir": str(work),
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "warmup_steps": options.warmup_share,
        "seed": options.seed,
        "data_seed": options.seed,
        "use_cpu": device == "cpu",
        "bf16": has_bf16(device),
        "eval_strategy": "epoch" if has_dev else "no",
        "save_strategy": "epoch",
        "load_best_model_at_end": has_dev,
        "metric_for_best_model": f"eval_{DEV_METRIC}" if has_dev else None,
        "greater_is_better": True if has_dev else None,
        "logging_steps": LOG_STEPS,
        # Otherwise a loss that is NaN is logged as the last one that was not.
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "log_level": "error",
        "report_to": [],
    }


def report_of(
    history: Sequence[Mapping[str, Any]],
    options: TrainingOptions,
    device: str,
    *,
    seconds: float,
    pairs_per_second: float,
    blend: float = 1.0,
) -> TrainingReport:
    """What training measured.

    Arguments:
        history: what the trainer logged; of its losses those that are numbers are kept.
        blend: share of the tuned weights in those that are saved.
    """
    by_epoch = [log[f"eval_{DEV_METRIC}"] for log in history if f"eval_{DEV_METRIC}" in log]
    losses = [log["loss"] for log in history if "loss" in log]
    return TrainingReport(
        seconds=round(seconds, 2),
        pairs_per_second=round(pairs_per_second, 2),
        peak_memory_mb=peak_memory_mb(device),
        device=device,
        bf16=has_bf16(device),
        best_epoch=1 + by_epoch.index(max(by_epoch)) if by_epoch else options.epochs,
        dev_mrr=[round(value, 6) for value in by_epoch],
        losses=[loss for loss in losses if math.isfinite(loss)],
        epochs=options.epochs,
        blend=blend,
        saved_dev_mrr=max(by_epoch, default=None),
    )
