"""How to train, in one small object, and what training reports."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One positive pair. Rows of one group never share a batch."""

    question: str
    passage: str
    group: str


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Hyperparameters. `max_tokens` is where training cuts texts, to be fast; search does not."""

    loss: str = "mnrl"
    method: str = "full"
    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup_share: float = 0.1
    max_tokens: int = 128
    seed: int = 13


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What training measured; kept beside the weights as training.json.

    `dev_mrr` holds MRR@10 on the dev questions, by epoch from 1; empty without dev questions.
    """

    seconds: float
    pairs_per_second: float
    peak_memory_mb: int
    device: str
    bf16: bool
    best_epoch: int
    dev_mrr: list[float]
    losses: list[float]


def training_key(
    base_fingerprint: str,
    rows: Sequence[TrainingRow],
    dev_texts: Sequence[str],
    options: TrainingOptions,
) -> str:
    """Hash of everything that decides the outcome of a training, 8 hex digits.

    A run with the same key is the same run: it is resumed, or its result is taken.
    """
    parts = [
        base_fingerprint,
        asdict(options),
        [(row.question, row.passage, row.group) for row in rows],
        list(dev_texts),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
