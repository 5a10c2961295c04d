"""`rag-app report` and `rag-app runs`: which run is meant, what is printed, what is refused."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from report_runs import make_evaluate, make_finetune
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app
from rag_app.cli.run import TYPED, Run


def run_app(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [*map(str, arguments)])


def run_json(*arguments: str | Path) -> dict[str, Any]:
    done = run_app(*arguments, "--json")
    assert done.exit_code == 0, done.output
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs, the first the newest, in the storage of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "storage" / "results"
    made = [
        make_finetune(folder / "finetune-a", [2, 1], [1, 1], promoted=True),
        make_finetune(folder / "finetune-b", [2, 1], [2, 1], options={"epochs": 5, "seed": 13}),
        make_evaluate(folder / "three", {"exact": [1, 2, 3]}),
    ]
    for age, one in enumerate(made):
        for path in one.iterdir():
            os.utime(path, (1e9 - age, 1e9 - age))
    return folder


def test_the_newest_run_is_meant_unless_one_is_named(results: Path) -> None:
    values = run_json("report")
    assert values["run"] == "finetune-a"
    assert Path(values["html"]) == Path("storage/results/finetune-a/report.html")
    assert Path(values["html"]).is_file()
    assert run_json("report", "thr")["run"] == "three"
    assert run_json("report", results / "finetune-b")["run"] == "finetune-b"
    assert run_json("report", "finetune")["run"] == "finetune-a"
    assert run_json("report", "evaluate")["run"] == "three"
    done = run_app("report", "finetune-b", "--out", "elsewhere")
    assert done.stdout == (
        "report: elsewhere/report.html\nfor a pull request: elsewhere/report.md\n"
    )
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["report.html", "report.md"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["report", "nope"],
            "there is no run 'nope' in storage/results; known runs: finetune-a, finetune-b, three",
        ),
        (
            ["report", "fine"],
            "2 runs begin with 'fine': finetune-a, finetune-b; write more of the name",
        ),
        (["report", "x", "--compare", "a", "b"], "--compare takes both runs; leave RUN out"),
        (
            ["report", "--compare", "finetune-a", "three"],
            "only runs on the same questions can be compared: finetune-a asked 2, three 3, and 2 "
            "are the same; evaluate both models on one file: "
            "`rag-app evaluate FILE --index A --index B --out FOLDER`",
        ),
        (
            ["runs", "show", "storage"],
            "storage holds no finished run; a run's folder has one of finetune.json, sweep.json, "
            "evaluate.json: `rag-app runs list` shows those of the storage",
        ),
    ],
)
def test_what_is_not_there_is_one_message(results: Path, arguments: list[str], says: str) -> None:
    done = run_app(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"error: {says}\n"


def test_without_a_run_it_is_said_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_app("report")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: storage/results holds no finished run; run `rag-app finetune`, `rag-app sweep`, "
        "or `rag-app evaluate FILE` first\n"
    )
    assert run_json("runs", "list") == {"runs": []}


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("finetune.json", "{", "finetune.json is damaged or of another version (Expecting"),
        ("finetune.json", "[" * 100_000, "finetune.json is damaged or of another version ("),
        ("finetune.json", "7", "finetune.json is damaged or of another version (Input should be"),
        ("finetune.json", "{}", "finetune.json is damaged or of another version (model: Field"),
        ("base.jsonl", "{", "base.jsonl line 1 is not an outcome"),
        ("base.jsonl", None, "has no base.jsonl, which a report needs; run `rag-app finetune`"),
        ("base.jsonl", "", "base.jsonl is damaged (it holds no question); run again what wrote it"),
        ("tuned.jsonl", "FIRST", "the outcomes of base and tuned do not belong together: only"),
        ("passages.jsonl", "{}", "passages.jsonl is damaged ("),
        ("collection.json", "\xff", "collection.json is damaged or of another version ("),
    ],
)
def test_a_damaged_run_is_one_message(
    results: Path, file: str, text: str | None, says: str
) -> None:
    path = results / "finetune-a" / file
    if text is None:
        path.unlink()
    elif text == "FIRST":
        path.write_text(path.read_text("utf-8").split("\n")[0], "utf-8")
    else:
        path.write_text(text, "latin-1")
    done = run_app("report", "finetune-a")
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_what_mends_a_run_is_its_own_command(results: Path) -> None:
    (results / "finetune-a" / "command.txt").write_text("rag-app tune docs\n", "utf-8")
    (results / "finetune-a" / "base.jsonl").unlink()
    done = run_app("report", "finetune-a")
    assert "which a report needs; run `rag-app tune docs` again\n" in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_two_runs_side_by_side(results: Path) -> None:
    values = run_json("report", "--compare", "finetune-b", "finetune-a")
    assert values["run"] == "finetune-b, finetune-a"
    folder = Path("storage/results/compare-finetune-b-finetune-a")
    assert Path(values["html"]) == folder / "report.html"
    text = (folder / "report.md").read_text("utf-8")
    # hit@1: 1/2 -> 2/2. MRR@10: (1/2 + 1) / 2 = 3/4 -> 1.
    assert "from .750 to 1.000 (+.250 \\[" in text
    assert "| hit@1 | .500" in text


def test_runs_are_listed_and_a_damaged_one_is_named(results: Path) -> None:
    (results / "finetune-b" / "finetune.json").write_text("{", "utf-8")
    os.utime(results / "finetune-b" / "finetune.json", (1e9 - 9, 1e9 - 9))
    done = run_app("runs", "list")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("fin", "three"))]
    assert [(line[0], line[1], line[4], line[5]) for line in lines] == [
        ("finetune-a", "finetune", "2", "1.00"),
        # (1 + 1/2 + 1/3) / 3 = 11/18
        ("three", "evaluate", "3", ".611"),
    ]
    assert done.stderr.startswith("warning: finetune-b: ")
    names = [row["name"] for row in run_json("runs", "list")["runs"]]
    assert names == ["finetune-a", "three", "finetune-b"]


def test_one_run_is_shown(results: Path) -> None:
    (results / "finetune-b" / "command.txt").write_text("rag-app finetune --pairs x.csv\n", "utf-8")
    values = run_json("runs", "show", "finetune-b")
    assert values["command"] == "rag-app finetune --pairs x.csv"
    assert values["verdict"] == "hold"
    assert values["scores"]["hit_rate@1"]["mean"] == 1 / 2
    assert values["settings"]["options.epochs"] == "5"
    said = run_app("runs", "show", "finetune-b").stdout
    assert "options.epochs = 5\n" in said
    assert "to repeat it: rag-app finetune --pairs x.csv\n" in said


def test_what_two_runs_differ_in(results: Path) -> None:
    values = run_json("runs", "diff", "finetune-a", "finetune-b")
    assert values["settings"] == [
        {"name": "options.epochs", "first": "3", "second": "5"},
        {"name": "options.negatives.kind", "first": "none", "second": ""},
        {"name": "options.negatives.per_pair", "first": "1", "second": ""},
    ]
    assert values["differences"]["hit_rate@1"]["mean"] == 1 / 2 - 1
    assert values["not_compared"] is None
    other = run_json("runs", "diff", "finetune-a", "three")
    assert other["differences"] is None
    assert other["not_compared"].startswith("only runs on the same questions can be compared")


def test_the_command_that_is_kept_holds_no_secret(tmp_path: Path) -> None:
    token = TYPED.set(
        ("evaluate", "my q.jsonl", "--chroma-token", "s3cret-token", "--json", "--quiet")
    )
    run = Run(
        storage=tmp_path,
        config=None,
        as_json=True,
        quiet=True,
        server={"chroma_token": "s3cret-token"},
    )
    run.settings()
    assert run.command_line == "rag-app evaluate 'my q.jsonl' --chroma-token ***" or (
        run.command_line == "rag-app evaluate 'my q.jsonl' --chroma-token '***'"
    )
    TYPED.reset(token)
