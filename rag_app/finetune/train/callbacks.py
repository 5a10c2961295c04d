"""What is looked at while a model trains: progress, divergence, memory."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from transformers import TrainerCallback

from rag_app.errors import TrainingError
from rag_app.finetune.data.dev import DEV_CURVE, DEV_METRIC
from rag_app.finetune.train.memory import resident_memory, trim_heap
from rag_app.progress import Progress

# Called with values and the step that they are of.
StepLog: TypeAlias = Callable[[Mapping[str, float], int], None]


def unlogged(values: Mapping[str, float], step: int) -> None:
    """Nobody wants curves."""


class Diverged(TrainingError):
    """Training diverged: the loss or a weight is NaN or infinite."""


class Watch(TrainerCallback):
    """Passes steps, loss and dev MRR on to a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.loss = math.nan
        self.dev_mrr = math.nan

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report one optimizer step."""
        note = "" if math.isnan(self.loss) else f"loss {self.loss:.3f}"
        if not math.isnan(self.dev_mrr):
            note += f"  dev MRR@10 {self.dev_mrr:.3f}"
        self.progress("train", state.global_step, state.max_steps, note)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep the latest loss.

        Raises:
            Diverged: it is not finite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        self.loss = float(loss)
        if not math.isfinite(self.loss):
            raise Diverged(
                f"training diverged: the loss is {self.loss} at step {state.global_step}; "
                "run again with a smaller --learning-rate"
            )

    def on_epoch_end(self, args: Any, state: Any, control: Any, **now: Any) -> None:
        """Look at the weights before they are scored and kept as a checkpoint.

        A gradient may overflow where the loss did not, or after it was last logged. Frozen weights
        have none, and looking at the word embeddings of e5 takes a gigabyte.

        Raises:
            Diverged: one is not finite.
        """
        trained = (weights for weights in now["model"].parameters() if weights.requires_grad)
        if not all(bool(weights.isfinite().all()) for weights in trained):
            raise Diverged(
                f"training diverged: weights are NaN or infinite in epoch {round(state.epoch)}; "
                "run again with a smaller --learning-rate"
            )

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        """Keep the latest dev MRR."""
        self.dev_mrr = float((metrics or {}).get(f"eval_{DEV_METRIC}", math.nan))


class LogSteps(TrainerCallback):
    """Passes loss, learning rate and dev MRR on to where curves are kept."""

    def __init__(self, log: StepLog) -> None:
        self.log = log

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Log a loss with its learning rate."""
        if "loss" in (logs or {}) and state.is_world_process_zero:
            named = {key: float(logs[key]) for key in ("loss", "learning_rate") if key in logs}
            self.log(named, state.global_step)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        """Log the MRR@10 on dev."""
        value = (metrics or {}).get(f"eval_{DEV_METRIC}")
        if value is not None and state.is_world_process_zero:
            self.log({DEV_CURVE: float(value)}, state.global_step)


class Trim(TrainerCallback):
    """Gives memory back as the heap falls into pieces.

    No two batches have as many tokens, so few tensors fit where earlier ones were, and glibc asks
    for more and more. Giving all back after each step costs a sixth of the time.
    """

    growth = 1.75  # Of the least that was held after a step.

    def __init__(self) -> None:
        self.least = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look, and trim."""
        resident = resident_memory()
        self.least = min(self.least or resident, resident)
        if resident > self.growth * self.least:
            trim_heap()
