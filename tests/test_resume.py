"""A finetune that is killed, or ends on a full disk: the same command again gives the same result.

The victim is a process of its own, as a user starts it; what is compared with it runs here.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import Program
from test_cli import name_of, run_app
from test_finetune import assert_same_weights
from test_finetune_bad_input import FAQ, WORDS, write_csv
from tiny import make_tiny_model

from rag_app.finetune.train.run import last_whole_checkpoint
from rag_app.index import Catalog

# 36 pairs in batches of 8 are 5 steps an epoch; of 8 epochs the second ends long before the last.
STEPS, EPOCHS = 5, 8
OPTIONS = (
    *("--pairs", "faq.csv", "--batch-size", "8", "--epochs", str(EPOCHS)),
    *("--learning-rate", "5e-3", "--canary", "faq.csv", "--quiet"),
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("single_thread")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    storage = ("--storage", folder / "storage")
    cut = ("--chunk-size", "48", "--chunk-overlap", "8")
    done = run_app(
        "ingest", write_csv(folder / "faq.csv", FAQ), "--model", "tiny", *cut, *storage, "--quiet"
    )
    assert done.exit_code == 0, done.stderr
    return folder


class Shop:
    """A folder with a storage and a FAQ, and finetune with the same options in it."""

    def __init__(self, made: Path, folder: Path, *options: str) -> None:
        shutil.copytree(made, folder)
        self.folder = folder
        self.storage = folder / "storage"
        self.models = self.storage / "models"
        self.arguments = (*OPTIONS, *options, "--json", "--storage", str(self.storage))
        self.environment = {"RAG_APP_RESULTS": str(folder / "results")}

    def finetune(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """The result of a run to the end."""
        with monkeypatch.context() as patch:
            patch.chdir(self.folder)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            done = run_app("finetune", *self.arguments)
        assert done.exit_code == 0, done.stderr
        values: dict[str, Any] = json.loads(done.stdout)
        return values

    def kill_when(self, reached: Callable[[], object]) -> None:
        """Start a run in a process of its own, and end it by SIGKILL as soon as it is so far."""
        with Program(
            "finetune", *self.arguments, folder=self.folder, environment=self.environment
        ) as victim:
            end = time.monotonic() + 240
            while not reached() and victim.returncode is None and time.monotonic() < end:
                time.sleep(0.001)
            victim.kill()
            _, said = victim.communicate()
        assert victim.returncode == -signal.SIGKILL, said
        # It had not come to its end.
        assert not list(self.folder.glob("results/*/finetune.json"))

    def find(self, pattern: str) -> list[Path]:
        return sorted(self.models.glob(pattern))


class Whole:
    """Undisturbed runs, one for all tests with the same options."""

    def __init__(self, made: Path, folder: Path) -> None:
        self.made = made
        self.folder = folder
        self.results: dict[tuple[str, ...], dict[str, Any]] = {}

    def run(self, *options: str) -> dict[str, Any]:
        """The result of an undisturbed run."""
        if options not in self.results:
            shop = Shop(self.made, self.folder / str(len(self.results)), *options)
            with pytest.MonkeyPatch.context() as patch:
                self.results[options] = shop.finetune(patch)
        return self.results[options]


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(made, tmp_path_factory.mktemp("whole"))


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two results say the same but for the clock, the memory and the folder."""
    measured = ("seconds", "pairs_per_second", "peak_memory_mb")
    places = ("results", "report", "model")
    first, second = (
        {key: values[key] for key in values if key not in (*measured, *places)}
        for values in (one, other)
    )
    trained, again = first.pop("training"), second.pop("training")
    assert Path(one["model"]).name == Path(other["model"]).name
    for key in ("dev_mrr", "losses", "saved_dev_mrr"):
        assert trained[key] == pytest.approx(again[key], abs=1e-5)
    for key in ("best_epoch", "blend", "whitening", "device", "bf16"):
        assert trained[key] == again[key]
    # Of chunks that are nearly as near, rounding may place another tenth.
    recalls = [values.pop("ann_recall@10") for values in (first, second)]
    assert recalls[0] == pytest.approx(recalls[1], abs=0.05)
    assert first == second


@pytest.mark.parametrize(
    ("options", "phase"),
    [
        ((), "mnrl"),
        (("--loss", "dae,mnrl"), "dae"),
        (("--loss", "dae,mnrl"), "mnrl"),
        (("--method", "lora"), "mnrl"),
    ],
    ids=["mnrl", "dae of dae,mnrl", "mnrl of dae,mnrl", "lora"],
)
def test_a_killed_training_goes_on(
    made: Path,
    whole: Whole,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    phase: str,
) -> None:
    undisturbed = whole.run(*options)
    shop = Shop(made, tmp_path / "killed", *options)
    before = name_of(shop.storage)
    shop.kill_when(lambda: has_checkpoint(shop, phase))
    [work] = shop.find(f"tiny-{phase}-*.training")
    assert not shop.find(f"tiny-{phase}-????????")
    checkpoint = last_whole_checkpoint(work)
    assert checkpoint is not None
    assert STEPS <= int(checkpoint.rpartition("-")[2]) < EPOCHS * STEPS
    assert name_of(shop.storage) == before

    again = shop.finetune(monkeypatch)
    same(again, undisturbed)
    assert_same_weights(Path(again["model"]), Path(undisturbed["model"]))
    assert not shop.find("*.training") + shop.find("*.partial")


@pytest.mark.parametrize(
    "reached",
    ["models/tiny-mnrl-????????", "models/tiny-adapter-????????", "indexes/tiny-tuned-*"],
)
def test_killed_between_training_and_the_end(
    made: Path, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: str
) -> None:
    undisturbed = whole.run()
    shop = Shop(made, tmp_path / "killed")
    before = name_of(shop.storage)
    shop.kill_when(lambda: list(shop.storage.glob(reached)))
    assert name_of(shop.storage) == before
    [weights] = shop.find("tiny-mnrl-????????")
    written = (weights / "model.safetensors").stat().st_mtime_ns

    again = shop.finetune(monkeypatch)
    same(again, undisturbed)
    # The judged weights and their map, and the refit's.
    judged = again["refit"]["judged_model"]
    made_now = {path.name for path in shop.find("tiny-*-????????")}
    assert {judged, weights.name, Path(again["model"]).name} <= made_now
    assert len(made_now) == 4
    # They were not trained anew.
    assert (weights / "model.safetensors").stat().st_mtime_ns == written
    assert Catalog(shop.storage).open(again["index"]).count() == len(FAQ)
    assert undisturbed["promoted"]
    assert name_of(shop.storage) == undisturbed["index"]


def has_checkpoint(shop: Shop, phase: str) -> bool:
    """Whether one is written to its end."""
    last_files = shop.find(f"tiny-{phase}-*.training/checkpoint-*/trainer_state.json")
    return any(path.read_text("utf-8").endswith("}\n") for path in last_files)


# Arguments: kilobytes of the disk, then those of finetune, which runs twice in one process.
SMALL_DISK = """
import pathlib, shutil, subprocess, sys
from typer.testing import CliRunner
from rag_app.cli.app import build_app

kilobytes, *arguments = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", "disk"], check=True)
shutil.copytree("storage", "disk/storage")
for name in ("first", "again"):
    done = CliRunner().invoke(build_app(), ["finetune", *arguments])
    pathlib.Path(f"{name}.rc").write_text(str(done.exit_code), "utf-8")
    pathlib.Path(f"{name}.err").write_text(done.stderr, "utf-8")
    pathlib.Path(f"{name}.json").write_text(done.stdout, "utf-8")
    subprocess.run(["mount", "-o", "remount,size=64m", "disk"], check=True)
shutil.copytree("disk/storage", "kept")
"""
ALONE = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture(scope="module")
def small_disks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where this user may make no disk of a few kilobytes."""
    folder = tmp_path_factory.mktemp("disk")
    tried = [*ALONE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("unshare") is None or subprocess.run(tried, check=False).returncode:
        pytest.skip("a disk cannot be mounted here")


# Room for a part of the first checkpoint; for the model that an adapter makes, not for its index.
@pytest.mark.usefixtures("small_disks")
@pytest.mark.parametrize(("options", "room"), [((), 50), (("--method", "adapter"), 600)])
def test_a_full_disk_is_explained_and_loses_nothing(
    made: Path, whole: Whole, tmp_path: Path, options: tuple[str, ...], room: int
) -> None:
    undisturbed = whole.run(*options)
    shop = Shop(made, tmp_path / "full", *options)
    (shop.folder / "disk").mkdir()
    used = sum(-(-path.stat().st_size // 4096) * 4 for path in shop.storage.rglob("*"))
    arguments = [str(used + room), *shop.arguments[:-1], "disk/storage"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **shop.environment}
    script = [sys.executable, "-c", SMALL_DISK, *arguments]
    subprocess.run([*ALONE, *script], cwd=shop.folder, env=environment, check=True)

    code, said, again = (
        (shop.folder / name).read_text("utf-8") for name in ("first.rc", "first.err", "again.json")
    )
    assert code == "2", said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "is full" in said
    assert "--storage" in said
    assert (shop.folder / "again.rc").read_text("utf-8") == "0"
    values = json.loads(again)
    same(values, undisturbed)
    kept = shop.folder / "kept" / "models" / Path(values["model"]).name
    assert_same_weights(kept, Path(undisturbed["model"]))
