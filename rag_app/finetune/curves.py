"""Training curves for TensorBoard, MLflow, W&B and Trackio: one run of theirs for each tuning.

transformers has callbacks of its own for them, which open a run for each training; a tuning has
several (each loss, the query adapter, the refit, folds), and its scores come after all of them.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from rag_app.errors import ConfigError, refuse_unknown
from rag_app.evaluate.comparison import Comparison
from rag_app.finetune.options import TrainingRow
from rag_app.index.names import short_model_name
from rag_app.models import EmbeddingModel
from rag_app.pairs import HeldOut

PROJECT = "rag-app"
LONGEST_NAME = 30
# -P: a json.py in the folder that the user works in must not be imported in place of Python's.
TRACKIO_PROCESS = (sys.executable, "-P", "-m", "rag_app.finetune.trackio_process")
# The process must find this very package, and what the parent finds.
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class Curves(Protocol):
    """Where numbers of a training go."""

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        """Log values of a part of the tuning, such as "mnrl", at a step of that part."""
        ...

    def summarise(self, values: Mapping[str, float]) -> None:
        """Log what was measured at the end."""
        ...

    def close(self) -> None:
        """Write what is not written yet."""
        ...


class Unlogged:
    """Nobody wants curves."""

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def summarise(self, values: Mapping[str, float]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


UNLOGGED = Unlogged()


@dataclass(frozen=True)
class Within:
    """Curves of one fold, whose parts have its name before their own."""

    curves: Curves
    name: str

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        """As of the whole."""
        self.curves.log(f"{self.name}-{part}", values, step)

    def summarise(self, values: Mapping[str, float]) -> None:
        """As of the whole."""
        self.curves.summarise(values)

    def close(self) -> None:
        """The whole is closed by who opened it."""


class _TensorBoard:
    def __init__(self, folder: Path, name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard" / name))

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            self._writer.add_scalar(f"{part}/{key}", value, step)

    def summarise(self, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, 0)

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    """A run on the server of MLFLOW_TRACKING_URI, or else in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        import mlflow

        uri = None if mlflow.is_tracking_uri_set() else (folder / "mlflow").absolute().as_uri()
        self._client: Any = mlflow.MlflowClient(tracking_uri=uri)
        known = self._client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self._client.create_experiment(PROJECT)
        self._run: str = self._client.create_run(experiment, run_name=name).info.run_id

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            self._client.log_metric(self._run, f"{part}/{key}", value, step=step)

    def summarise(self, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._client.log_metric(self._run, key, value)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _WandB:
    """A run that is synchronised or stays on this machine, as WANDB_MODE says."""

    def __init__(self, folder: Path, name: str) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        self._parts: set[str] = set()
        self._run: Any = wandb.init(
            project=PROJECT,
            name=name,
            dir=str(folder),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        if part not in self._parts:
            self._parts.add(part)
            # Each part counts its own steps; those of a run may only rise.
            self._run.define_metric(f"{part}/*", step_metric=f"{part}/step")
        self._run.log({f"{part}/step": step, **{f"{part}/{k}": v for k, v in values.items()}})

    def summarise(self, values: Mapping[str, float]) -> None:
        self._run.summary.update(dict(values))

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    """A run in SQLite, written by a process of its own (rag_app/finetune/trackio_process.py)."""

    def __init__(self, folder: Path, name: str) -> None:
        path = os.pathsep.join([_PACKAGE_ROOT, *filter(None, sys.path)])
        self._child = subprocess.Popen(
            [*TRACKIO_PROCESS, str(folder / "trackio"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path},
            # Ctrl-C is for the parent to handle.
            start_new_session=True,
        )
        if not self._child.stdout or not self._child.stdout.readline():
            self.close()
            code = self._child.returncode
            raise OSError(f"the process that writes for Trackio ended with {code}")

    def log(self, part: str, values: Mapping[str, float], step: int) -> None:
        self._send({f"{part}/{key}": value for key, value in values.items()}, step)

    def summarise(self, values: Mapping[str, float]) -> None:
        self._send(dict(values), 0)

    def close(self) -> None:
        self._child.communicate()

    def _send(self, values: Mapping[str, float], step: int) -> None:
        assert self._child.stdin is not None  # noqa: S101 - it is a pipe
        self._child.stdin.write(json.dumps({"step": step, "values": values}) + "\n")
        self._child.stdin.flush()


@dataclass(frozen=True)
class Tracker:
    """A library that keeps curves.

    Fields:
        module: that must be installed; the extra of `rag-app` has the tracker's name.
        look: the command that shows what is in the folder.
    """

    module: str
    open: Callable[[Path, str], Curves]
    look: str


TRACKERS = {
    "tensorboard": Tracker(
        "tensorboard", _TensorBoard, "tensorboard --logdir {folder}/tensorboard"
    ),
    "mlflow": Tracker(
        "mlflow",
        _MLflow,
        "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}/mlflow",
    ),
    "wandb": Tracker("wandb", _WandB, "wandb sync {folder}/wandb/offline-run-*"),
    "trackio": Tracker(
        "trackio", _Trackio, f"TRACKIO_DIR={{folder}}/trackio trackio show --project {PROJECT}"
    ),
}


def check_tracker(name: str | None) -> None:
    """Refuse what cannot keep curves before anything is trained.

    Raises:
        ConfigError: an unknown name, or a library that is not installed.
    """
    if name is None:
        return
    refuse_unknown("--report-to", name, TRACKERS)
    if find_spec(TRACKERS[name].module) is None:
        raise ConfigError(
            f"--report-to {name} needs the package {TRACKERS[name].module}, which is not "
            f"installed; run `pip install 'rag-app[{name}]'`"
        )


@contextmanager
def open_curves(tracker: str | None, folder: Path, run: str) -> Iterator[Curves]:
    """Curves of one tuning, closed at its end, also where it fails.

    Arguments:
        tracker: of `TRACKERS`; None: nothing is logged.
        folder: of all curves.
        run: name of the tracker's run.
    """
    curves: Curves = TRACKERS[tracker].open(folder, run) if tracker else UNLOGGED
    try:
        yield curves
    finally:
        curves.close()


def run_name(kind: str, model: EmbeddingModel, rows: Sequence[TrainingRow]) -> str:
    """Name of a tracker's run: the same where the same is trained again."""
    texts = [model.fingerprint, *(row.question for row in rows)]
    key = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
    return f"{kind}-{short_model_name(model.name, LONGEST_NAME)}-{key}"


def summarise_held_out(curves: Curves, held_out: Mapping[HeldOut, Comparison]) -> None:
    """Log the scores of base and tuned on the held-out questions."""
    for what, compared in held_out.items():
        curves.summarise(scores_of(compared, f"held_out_{what}"))


def scores_of(comparison: Comparison, part: str) -> dict[str, float]:
    """Means and 95 % intervals of base and tuned, and of their difference in MRR@10, flat."""
    values: dict[str, float] = {}
    for side, scores in (("base", comparison.base), ("tuned", comparison.tuned)):
        for metric, score in scores.items():
            values |= _flat(f"{part}/{side}/{metric}", score.mean, score.low, score.high)
    change = comparison.differences["mrr@10"]
    return values | _flat(f"{part}/change/mrr@10", change.mean, change.low, change.high)


def _flat(name: str, mean: float, low: float, high: float) -> dict[str, float]:
    # MLflow takes no @.
    name = name.replace("@", "_at_")
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
