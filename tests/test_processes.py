"""Two processes under torchrun train one model, and only the leader does anything else."""

import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_cli import run_app
from tiny import make_tiny_model, one_thread

from rag_app.finetune.data.batches import CleanBatchSampler, batch_count
from rag_app.finetune.train.processes import is_follower, send, world_size

SUBJECTS = [f"zorb{i}" for i in range(60)]
WORDS = [*SUBJECTS, "how", "do", "i", "get", "where", "you", "find", "there", "it", "is"]


def run_both(folder: Path, *arguments: str) -> str:
    """Run a command in `folder` as two processes; returns their standard output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    launcher = ("torch.distributed.run", "--nproc-per-node", "2", "-m", "rag_app.finetune")
    done = subprocess.run(
        [sys.executable, "-m", *launcher, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_alone(folder: Path, *arguments: str) -> str:
    """The same here."""
    with contextlib.chdir(folder), one_thread():
        done = run_app(*arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    make_tiny_model(folder / "tiny", words=WORDS)
    with (folder / "faq.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows([f"how do i get {s}", f"where you find {s} there it is"] for s in SUBJECTS)
    chunks = ("--chunk-size", "48", "--chunk-overlap", "8")
    run_alone(folder, "ingest", "faq.csv", "--model", "tiny", *chunks, "--quiet")
    return folder


def test_two_processes_train_together(shop: Path) -> None:
    options = ("--pairs", "faq.csv", "--batch-size", "8", "--epochs", "3", "--quiet", "--json")
    rate = ("--learning-rate", "5e-3", "--blend", "1", "--canary", "faq.csv")
    # What the leader alone prints.
    result = result_of(run_both(shop, *options, *rate))
    assert result["split"] == {"train": 36, "dev": 6, "test": 18, "known": 0}
    # 36 pairs in batches of 8 are 5 steps an epoch; the loss is logged at every fifth.
    losses = result["training"]["losses"]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert len(result["training"]["dev_mrr"]) == 3
    assert result["tuned"]["mrr@10"]["mean"] > result["base"]["mrr@10"]["mean"]


def result_of(printed: str) -> dict[str, Any]:
    """The one JSON object that a run prints."""
    [line] = [line for line in printed.splitlines() if line.startswith("{")]
    values: dict[str, Any] = json.loads(line)
    return values


def distance(one: Path, other: Path) -> float:
    """Between the weights of two models."""
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    return float(np.sqrt(sum(((first[key] - second[key]) ** 2).sum() for key in first)))


def test_two_processes_learn_what_one_does(shop: Path, tmp_path: Path) -> None:
    # Three batches of 12 an epoch, so that each is shared out evenly and no pair waits.
    options = ("--pairs", "faq.csv", "--batch-size", "12", "--epochs", "4", "--quiet", "--json")
    rate = ("--learning-rate", "2e-3", "--blend", "1", "--canary", "faq.csv", "--no-promote")
    # No query adapter: it is named after the weights, down to their last digit.
    full = ("--method", "full")
    for name in ("one", "two"):
        shutil.copytree(shop, tmp_path / name)
    one = result_of(run_alone(tmp_path / "one", "finetune", *options, *rate, *full))
    both = result_of(run_both(tmp_path / "two", *options, *rate, *full))
    same = ("split", "options", "training_pairs", "base")
    assert [one[key] for key in same] == [both[key] for key in same]
    assert Path(one["model"]).name == Path(both["model"]).name
    # bfloat16 keeps three digits; over twelve steps their noise adds up.
    assert both["training"]["losses"] == pytest.approx(one["training"]["losses"], abs=0.02)
    assert both["training"]["dev_mrr"] == pytest.approx(one["training"]["dev_mrr"], abs=0.1)
    for metric in ("hit_rate@5", "mrr@10"):
        scores = [result["tuned"][metric]["mean"] for result in (one, both)]
        assert scores[1] == pytest.approx(scores[0], abs=0.06)  # of 18 questions, one
    before, alone = shop / "tiny", tmp_path / "one" / one["model"]
    assert distance(tmp_path / "two" / both["model"], alone) < 0.1 * distance(before, alone)


def test_alone_there_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert world_size() == 1
    assert not is_follower()
    send("nobody waits for this")


def test_parts_of_a_batch_are_equal_and_clean() -> None:
    groups = [str(number // 2) for number in range(22)]
    sampler = CleanBatchSampler(groups, groups=groups, batch_size=4, seed=1, processes=2)
    parts = list(sampler)
    # 22 rows in batches of at most 8 are 3 batches of 7 or 8, each in two parts.
    assert len(parts) == len(sampler) == 2 * batch_count(groups, 8) == 6
    for first, second in zip(parts[::2], parts[1::2], strict=True):
        assert len(first) == len(second) >= 3
        together = [groups[row] for row in (*first, *second)]
        assert len(set(together)) == len(together)
