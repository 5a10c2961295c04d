"""Training curves: what TensorBoard, MLflow, Weights & Biases and Trackio hold after a tuning."""

import importlib.util
import json
import math
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from shop import WORDS, write_documents, write_questions
from test_cli import check_error, run_app
from tiny import make_tiny_model

from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import compare_outcomes
from rag_app.evaluate.scoring import METRICS, Outcome
from rag_app.finetune.curves import TRACKERS, Within, check_tracker, open_curves, scores_of

pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that are ingested, with questions about them."""
    folder = tmp_path_factory.mktemp("shop")
    make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    write_documents(folder / "docs")
    write_questions(folder / "questions.jsonl")
    where = ("--storage", folder / "storage", "--quiet")
    done = run_app("ingest", folder / "docs", "--model", "tiny", *where)
    assert done.exit_code == 0, done.stderr
    return folder


def finetune(shop: Path, *options: str) -> str:
    """Train for two epochs; returns what was said."""
    pairs = ("--pairs", shop / "questions.jsonl", "--storage", shop / "storage")
    few = ("--epochs", "2", "--batch-size", "8", "--canary", "none", "--quiet")
    done = run_app("finetune", *pairs, *few, *options)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_tensorboard_has_losses_dev_scores_and_the_verdicts_numbers(shop: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    said = finetune(shop, "--report-to", "tensorboard")
    folder = shop / "storage" / "curves" / "tensorboard"
    assert f"training curves: `tensorboard --logdir {folder}`" in said
    [run] = folder.iterdir()
    assert run.name.startswith("finetune-tiny-")
    events: Any = EventAccumulator(str(run))
    events.Reload()
    scalars = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    for part in ("mnrl", "adapter"):
        assert all(one.value > 0 for one in scalars[f"{part}/loss"])
        assert [one.step for one in scalars[f"{part}/loss"]] == sorted(
            {one.step for one in scalars[f"{part}/learning_rate"]}
        )
        assert all(0 <= one.value <= 1 for one in scalars[f"{part}/dev_mrr_at_10"])
    # Once for each of two epochs.
    assert len(scalars["mnrl/dev_mrr_at_10"]) == 2
    for part in ("held_out_documents", "on_training_questions"):
        for side in ("base", "tuned"):
            low, mean, high = (
                scalars[f"{part}/{side}/mrr_at_10{end}"][0].value for end in ("_low", "", "_high")
            )
            assert 0 <= low <= mean <= high <= 1
    change = scalars["held_out_documents/change/mrr_at_10"][0].value
    tuned, base = (
        scalars[f"held_out_documents/{side}/mrr_at_10"][0].value for side in ("tuned", "base")
    )
    assert change == pytest.approx(tuned - base, abs=1e-6)
    # Trained before: there are no steps, and that is said.
    pairs = ("--pairs", shop / "questions.jsonl", "--storage", shop / "storage")
    few = ("--epochs", "2", "--batch-size", "8", "--canary", "none")
    again = run_app("finetune", *pairs, *few, "--report-to", "tensorboard")
    assert "was trained before, so it has no steps to log" in again.stderr


@pytest.mark.slow
def test_a_rerankers_curves_are_kept_as_well(shop: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pairs = ("--pairs", shop / "questions.jsonl", "--storage", shop / "storage", "--quiet")
    done = run_app(
        *("finetune", *pairs, "--what", "reranker"),
        *("--epochs", "1", "--max-tokens", "32", "--report-to", "tensorboard"),
    )
    assert done.exit_code == 0, done.stderr
    [run] = (shop / "storage" / "curves" / "tensorboard").glob("reranker-tiny-*")
    events: Any = EventAccumulator(str(run))
    events.Reload()
    names = set(events.Tags()["scalars"])
    assert {"reranker/loss", "reranker/learning_rate", "reranker/dev_mrr_at_10"} <= names
    assert "held_out_documents/tuned/mrr_at_10_low" in names


def log_two_parts(tracker: str, folder: Path) -> None:
    with open_curves(tracker, folder, "a-run") as curves:
        curves.log("mnrl", {"loss": 3.0, "learning_rate": 1e-5}, 5)
        curves.log("mnrl", {"loss": 2.0, "learning_rate": 2e-5}, 10)
        # A part counts its steps from the beginning.
        Within(curves, "fold-2").log("adapter", {"loss": 1.0}, 1)
        curves.summarise({"held_out_documents/tuned/mrr_at_10": 0.5})


def test_mlflow_writes_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    log_two_parts("mlflow", tmp_path)
    log_two_parts("mlflow", tmp_path)
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("rag-app")
    runs = client.search_runs([experiment.experiment_id])
    assert [(run.info.run_name, run.info.status) for run in runs] == [("a-run", "FINISHED")] * 2
    history = client.get_metric_history(runs[0].info.run_id, "mnrl/loss")
    assert [(one.step, one.value) for one in history] == [(5, 3.0), (10, 2.0)]
    assert runs[0].data.metrics["fold-2-adapter/loss"] == 1.0
    assert runs[0].data.metrics["held_out_documents/tuned/mrr_at_10"] == 0.5


def records(path: Path) -> Iterator[Any]:
    """What an offline run of Weights & Biases wrote."""
    from wandb.proto.wandb_internal_pb2 import Record

    # Seven bytes say what it is; before each record stand checksum, length and kind.
    data, start = path.read_bytes(), 7
    while start < len(data):
        _, length, _ = struct.unpack_from("<IHB", data, start)
        record = Record()
        record.ParseFromString(data[start + 7 : start + 7 + length])
        yield record
        start += 7 + length


def test_wandb_stays_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE")
    prepare_environment(offline=True)
    log_two_parts("wandb", tmp_path)
    # Its own process writes what is left.
    wandb.teardown()
    [path] = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    rows: list[dict[str, float]] = []
    summary: dict[str, float] = {}
    for record in records(path):
        rows.append(logged(record.history.item))
        summary |= logged(record.summary.update)
    assert [row for row in rows if row] == [
        {"mnrl/step": 5, "mnrl/loss": 3, "mnrl/learning_rate": 1e-5},
        {"mnrl/step": 10, "mnrl/loss": 2, "mnrl/learning_rate": 2e-5},
        {"fold-2-adapter/step": 1, "fold-2-adapter/loss": 1},
    ]
    assert summary["held_out_documents/tuned/mrr_at_10"] == 0.5


def logged(items: Any) -> dict[str, float]:
    """What we logged, among the tracker's own values, whose names begin with _."""
    values = {"/".join(one.nested_key) or one.key: one.value_json for one in items}
    return {key: float(value) for key, value in values.items() if not key.startswith("_")}


def test_trackio_writes_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackio")
    # What a user has set for other programs sends nothing of ours away.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "another"))
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://127.0.0.1:9?write_token=x")
    folder = tmp_path / "curves"
    log_two_parts("trackio", folder)
    log_two_parts("trackio", folder)
    # Trackio prints on standard output, where `--json` has one object.
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "another").exists()
    with closing(sqlite3.connect(folder / "trackio" / "rag-app.db")) as database:
        rows = database.execute("SELECT run_id, run_name, step, metrics FROM metrics ORDER BY id")
        logged_rows = [(run, name, step, json.loads(values)) for run, name, step, values in rows]
    runs = list(dict.fromkeys(run for run, *_ in logged_rows))
    assert len(runs) == 2
    for run in runs:
        assert [row[1:] for row in logged_rows if row[0] == run] == [
            ("a-run", 5, {"mnrl/loss": 3.0, "mnrl/learning_rate": 1e-5}),
            ("a-run", 10, {"mnrl/loss": 2.0, "mnrl/learning_rate": 2e-5}),
            ("a-run", 1, {"fold-2-adapter/loss": 1.0}),
            ("a-run", 0, {"held_out_documents/tuned/mrr_at_10": 0.5}),
        ]


def test_trackio_that_cannot_write_says_so_before_training(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    (tmp_path / "trackio").write_text("no folder")
    with (
        pytest.raises(OSError, match="the process that writes for Trackio ended with 1"),
        open_curves("trackio", tmp_path, "a-run"),
    ):
        pass


def test_an_unknown_tracker_and_one_that_is_not_installed_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--pairs", tmp_path / "none.csv", "--storage", tmp_path / "storage")
    says = "--report-to is 'comet'; it takes one of: tensorboard, mlflow, wandb, trackio"
    check_error("finetune", *where, "--report-to", "comet", kind="ConfigError", says=says)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "rag_app.finetune.curves.find_spec",
        lambda name: None if name == "wandb" else found(name),
    )
    says = "run `pip install 'rag-app[wandb]'`"
    check_error("finetune", *where, "--report-to", "wandb", kind="ConfigError", says=says)
    check_tracker(None)
    assert set(TRACKERS) == {"tensorboard", "mlflow", "wandb", "trackio"}


def found_at(rank: int, number: int) -> Outcome:
    """A question whose answer is at this rank."""
    hits = {name: float(int(name.partition("@")[2]) >= rank) for name in METRICS if "hit" in name}
    values = {**hits, "mrr@10": 1 / rank, "ndcg@10": 1 / math.log2(rank + 1)}
    found = ["other"] * (rank - 1) + ["right"]
    scores = [1.0] * rank
    return Outcome(f"q{number}", "", f"d{number}", [["right"]], found, scores, rank, values)


def test_scores_have_their_interval_and_names_that_every_tracker_takes() -> None:
    base, tuned = ([found_at(rank, n) for n in range(4)] for rank in (2, 1))
    values = scores_of(compare_outcomes(base, tuned, seed=1), "held_out_documents")
    assert values["held_out_documents/base/mrr_at_10"] == 1 / 2
    assert values["held_out_documents/tuned/mrr_at_10_low"] == 1
    assert values["held_out_documents/change/mrr_at_10_high"] == 1 / 2
    assert values["held_out_documents/base/hit_rate_at_1"] == 0
    assert not any("@" in name for name in values)
