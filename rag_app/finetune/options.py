"""How to train, in one small object, and what training reports."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from rag_app.disk import write_json
from rag_app.errors import ConfigError, refuse_unknown
from rag_app.text.words import words

# Which pairs train.
TrainOn = Literal["labelled", "synthetic", "both"]
TRAIN_ON: tuple[TrainOn, ...] = ("labelled", "synthetic", "both")
NegativeKind = Literal["none", "random", "mined"]
KINDS: tuple[NegativeKind, ...] = ("none", "random", "mined")
# What training measured, in the folder of the model.
REPORT_FILE = "training.json"
# Steps between two losses of weights, each a mean since the one before.
LOG_STEPS = 5
# Words of a question that is taken out of its passage, for fewer name something; and words that the
# passage then has left.
LEAST_TAKEN, LEAST_LEFT = 4, 8
# Hyperparameter -> the least and the largest value that it takes, as its message says them.
RANGES: dict[str, tuple[float, float, str]] = {
    "epochs": (1, math.inf, "a whole number of 1 or more"),
    "batch_size": (2, math.inf, "a whole number of 2 or more"),
    "learning_rate": (1e-12, 1, "more than 0 and up to 1, usual are 1e-5 to 1e-3"),
    "warmup_share": (0, 1, "a number from 0 to 1"),
    "scale": (0.1, math.inf, "a number of 0.1 or more"),
    "max_tokens": (16, math.inf, "a whole number of 16 or more"),
    "mini_batch": (1, math.inf, "a whole number of 1 or more"),
    "blend": (0, 1, "a number from 0 to 1"),
    "whitening": (0, 1, "a number from 0 to 1"),
    "adapter_epochs": (1, math.inf, "a whole number of 1 or more"),
    "seed": (0, 2**32 - 1, "a whole number from 0 to 4294967295"),
}


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One positive pair, with hard negatives if it has any.

    Rows of one group never share a batch.
    """

    question: str
    passage: str
    group: str
    negatives: tuple[str, ...] = ()

    @property
    def positive(self) -> str:
        """The passage that is trained on: without the question where that is one of its sentences.

        Else the question's own words would tell the passage, and nothing be learned (inverse cloze
        task: Lee, Chang and Toutanova, ACL 2019). Where little would be left, the passage is whole.
        """
        if len(words(self.question)) < LEAST_TAKEN:
            return self.passage
        asked = r"\s+".join(map(re.escape, self.question.split()))
        rest = re.sub(rf"(?<!\w){asked}(?!\w)", " ", self.passage)
        return rest if len(words(rest)) >= LEAST_LEFT else self.passage


@dataclass(frozen=True)
class NegativeOptions:
    """Which negatives rows get.

    Fields:
        kind: "none": only the other passages of the batch.
        per_pair: negatives of each pair.
    """

    kind: NegativeKind = "none"
    per_pair: int = 1

    def __post_init__(self) -> None:
        """Refuse what would be passed over.

        Raises:
            ConfigError: an unknown kind, or no negatives of a pair.
        """
        refuse_unknown("--negatives", self.kind, KINDS)
        if self.per_pair < 1:
            raise ConfigError(f"--negatives-per-pair is {self.per_pair}; it takes 1 or more")


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Hyperparameters.

    Fields:
        loss, method: one, or several in turn with commas between.
        scale: the inverse temperature of mnrl; None: that of the model's family.
        max_tokens: where training cuts texts; None: where the model does.
        batch_can_fall: train with smaller batches where the memory does not hold these.
        mini_batch: texts that pass through the model at once; larger batches cache gradients.
        blend: share of the tuned weights in the saved ones, the base's being the rest; `back_off`
            takes less where all of them harm out-of-domain questions.
        whitening: the largest share of it that an adapter may begin with, see `train_adapter`; None
            for methods that train weights.
        adapter_epochs: of an adapter, whose epochs take milliseconds; None: ten for each of
            `epochs`.
        negatives: passages to train against besides those of the batch.
    """

    loss: str = "mnrl"
    method: str = "full"
    epochs: int = 5
    batch_size: int = 32
    batch_can_fall: bool = False
    learning_rate: float = 5e-5
    warmup_share: float = 0.1
    scale: float | None = None
    max_tokens: int | None = None
    mini_batch: int = 32
    blend: float = 1.0
    whitening: float | None = 1.0
    adapter_epochs: int | None = None
    negatives: NegativeOptions = NegativeOptions()
    seed: int = 13

    def check(self) -> None:
        """Refuse what no training can be asked for; a recipe may say 0 epochs.

        Raises:
            ConfigError: a value of another type, or out of its range.
        """
        for field in fields(self):
            value: Any = getattr(self, field.name)
            kind: Any = field.type
            least, most, takes = RANGES.get(
                field.name, (0, math.inf, getattr(kind, "__name__", ""))
            )
            whole = isinstance(value, int) and isinstance(0.5, kind)
            fits = isinstance(value, kind) or whole
            if fits and isinstance(value, int | float):
                fits = least <= value <= most and math.isfinite(value)
            if not fits:
                flag = field.name.replace("_", "-")
                raise ConfigError(f"--{flag} is {value!r}; it takes {takes}")


def tokens_read(wanted: int | None, most: int) -> int:
    """Where training cuts texts: where it is wanted, but never beyond what the model reads."""
    return min(wanted or most, most)


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What training measured; kept beside the weights as training.json.

    `dev_mrr` holds MRR@10 on the dev questions, by epoch from 1; empty without dev questions.
    `epochs` are those that were trained, of an adapter its own short ones; None in older files.
    `blend` is the share of the tuned weights in those that were saved, `saved_dev_mrr` the score of
    what was saved, `whitening` the share of it that an adapter began with.
    """

    seconds: float
    pairs_per_second: float
    peak_memory_mb: int
    device: str
    bf16: bool
    best_epoch: int
    dev_mrr: list[float]
    losses: list[float]
    epochs: int | None = None
    blend: float = 1.0
    saved_dev_mrr: float | None = None
    whitening: float | None = None


def read_report(folder: Path) -> TrainingReport:
    """What the training of a saved model measured."""
    return TrainingReport(**json.loads((folder / REPORT_FILE).read_text("utf-8")))


def write_report(report: TrainingReport, folder: Path) -> None:
    """Keep it beside the weights."""
    write_json(folder / REPORT_FILE, asdict(report))


def training_key(
    base_fingerprint: str,
    rows: Sequence[TrainingRow],
    texts: Sequence[str],
    options: TrainingOptions,
) -> str:
    """Hash of everything that decides the outcome of a training, 8 hex digits.

    A run with the same key is the same run: it is resumed, or its result is taken.

    Arguments:
        texts: what is read besides the rows: of dev, and for an adapter all passages.
    """
    parts = [
        base_fingerprint,
        asdict(options),
        [(row.question, row.positive, row.group, row.negatives) for row in rows],
        list(texts),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
