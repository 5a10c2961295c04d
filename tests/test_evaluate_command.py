"""`rag-app evaluate` with retrieval options: what it scores, prints, warns of and writes."""

import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure
from rich.console import Console
from rich.text import Text
from tiny import make_tiny_cross_encoder, make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app
from rag_app.cli.labels import run_labels
from rag_app.cli.scores import comparison_table, runs_table
from rag_app.cli.tables import table
from rag_app.evaluate.comparison import compare_outcomes
from rag_app.evaluate.display import COMPARED_METRICS
from rag_app.evaluate.invariants import check_invariants
from rag_app.evaluate.result import EvaluatedRun
from rag_app.evaluate.scoring import METRICS, Outcome, read_outcomes
from rag_app.evaluate.statistics import Estimate
from rag_app.index import Catalog
from rag_app.pairs import question_id, write_training_documents
from rag_app.retrieve.learned import LearnedFusion

# Two chunks each; a question asks with words of the first, and the second answers.
DOCUMENTS = {
    "refunds.md": ("billing", "Whoever wants money back writes us.", "It comes in five days."),
    "parcels.md": ("orders", "Everything over thirty kilograms is heavy.", "It goes by freight."),
    "hours.md": ("shop", "The doors of the shop stand open.", "They do from nine to six."),
}

pytestmark = pytest.mark.usefixtures("single_thread")


def run_app(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents, questions, and a storage with their index, two models, a judge."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "docs").mkdir()
    rows = []
    for name, (category, asked, answer) in DOCUMENTS.items():
        head = f"---\ntitle: {category}\ncategory: {category}\ndate: 2024-01-01\n---\n"
        (folder / "docs" / name).write_text(f"{head}{asked}\n\n{answer}\n", "utf-8")
        rows.append({"question": asked.lower(), "document": name, "evidence": answer})
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    make_tiny_model(folder / "storage" / "models" / "tiny")
    make_tiny_model(folder / "elsewhere" / "tiny", seed=1)
    make_tiny_cross_encoder(folder / "judges" / "a judge")
    done = run_app(
        *("ingest", folder / "docs", "--storage", folder / "storage", "--model", "tiny"),
        *("--chunk-size", "48", "--chunk-overlap", "0", "--quiet"),
    )
    assert done.exit_code == 0, done.stderr
    assert ": 6 chunks, " in done.stdout
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, in a folder without settings that the test may write to."""
    monkeypatch.chdir(tmp_path)
    return made


def evaluate(shop: Path, *options: str | Path) -> Result:
    done = run_app("evaluate", shop / "q.jsonl", "--storage", shop / "storage", "--quiet", *options)
    assert done.exit_code == 0, done.stderr
    return done


def evaluate_json(shop: Path, *options: str | Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(evaluate(shop, *options, "--json").stdout)
    return values


def outcome_files(folder: Path) -> list[str]:
    """Names of the files that hold every question's outcome, one for each run."""
    names = sorted(path.name for path in folder.iterdir())
    others = {
        *("collection.json", "evaluate.json", "passages.jsonl"),
        *("command.txt", "report.html", "report.md"),
    }
    assert others <= set(names)
    return [name for name in names if name not in others]


def means(values: dict[str, Any], metric: str) -> dict[str, float]:
    """Mean of a metric by retriever."""
    return {run["retriever"]: run[metric]["mean"] for run in values["runs"]}


RETRIEVERS = (
    "--retriever",
    "keyword",
    "--retriever",
    "hybrid:0.5",
    "--retriever",
    "keyword+window:1",
)


def test_an_out_that_is_no_folder_is_refused_before_the_work(shop: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = run_app(
        *("evaluate", shop / "q.jsonl", "--storage", shop / "storage", "--quiet"),
        *("--out", tmp_path / "pipe"),
    )
    assert done.exit_code == 2
    assert "pipe cannot be written: a device, a pipe or a socket is there" in done.stderr
    assert done.stdout == ""


def test_retrievers_side_by_side(shop: Path, tmp_path: Path) -> None:
    values = evaluate_json(shop, *RETRIEVERS, "--out", tmp_path / "out")
    # The words of the question stand in the chunk before the one that answers it.
    assert means(values, "hit_rate@1") == {"keyword": 0, "hybrid:0.5": 0, "keyword+window:1": 1}
    assert [run["n"] for run in values["runs"]] == [3, 3, 3]
    assert values["runs"][2]["against_first"]["differences"]["hit_rate@1"]["mean"] == 1
    assert [run["trained_on"] for run in values["runs"]] == [0, 0, 0]
    assert [run["warnings"] for run in values["runs"]] == [{}, {}, {}]

    name = values["runs"][0]["name"]
    written = outcome_files(tmp_path / "out")
    assert written == [
        f"{name}-hybrid0.5.jsonl",
        f"{name}-keyword+window1.jsonl",
        f"{name}-keyword.jsonl",
    ]
    for run, file in zip(values["runs"], (written[2], written[0], written[1]), strict=True):
        outcomes = read_outcomes(tmp_path / "out" / file)
        check_invariants(outcomes)
        scores = [outcome.values["mrr@10"] for outcome in outcomes]
        assert sum(scores) / 3 == pytest.approx(run["mrr@10"]["mean"])


def test_what_is_printed(shop: Path) -> None:
    done = evaluate(shop, *RETRIEVERS)
    lines = [line.split() for line in done.stdout.splitlines() if line.strip(" ─")]
    assert lines[0] == ["3", "questions"]
    assert lines[1] == ["run", "hit@1", "hit@5", "MRR@10", "nDCG@10"]
    # One index and one model: only the retrievers tell the runs apart.
    assert [line[0] for line in lines[2:5]] == ["keyword", "hybrid:0.5", "keyword+window:1"]
    assert lines[2][1:4] == [".000", "[.00,", ".00]"]
    assert lines[4][1:4] == ["1.00", "[1.0,", "1.0]"]
    index = lines[5][1].rstrip(",")
    assert [" ".join(line) for line in lines[5:8]] == [
        f"keyword: {index}, keyword (the baseline)",
        f"hybrid:0.5: {index}, hybrid:0.5",
        f"keyword+window:1: {index}, keyword+window:1",
    ]
    assert [line[:3] for line in lines[8:-1]] == [
        ["hybrid:0.5", "against", "keyword:"],
        ["keyword+window:1", "against", "keyword:"],
    ]
    assert lines[-1][0] == "report:"
    assert done.stderr == ""


def labels(*runs: tuple[str, str, str, bool], longest: int = 11) -> list[str]:
    """Labels of runs, each given by index, model, retriever, and whether it is tuned."""
    made = [EvaluatedRun(*run[:3], {}, [], 0.0, run[3], 0, {}) for run in runs]
    return [label.short for label in run_labels(made, longest=longest)]


def test_runs_are_called_by_what_differs() -> None:
    base, tuned = ("minilm-256-a1", "minilm", "exact", False), ("minilm-t", "t", "exact", True)
    assert labels(base, tuned) == ["base", "tuned"]
    assert labels(base, longest=13) == ["minilm-256-a1"]
    small = ("minilm-128-b2", "minilm", "exact", False)
    assert labels(base, small) == ["256-a1", "128-b2"]
    assert labels(base, (*base[:2], "keyword", False)) == ["exact", "keyword"]
    hybrid = (*tuned[:2], "hybrid:0.7+latest", True)
    assert labels(base, hybrid, longest=30) == ["base exact", "tuned hybrid:0.7+latest"]
    # What does not fit is numbered, and so is what is called alike.
    assert labels(base, hybrid) == ["run 1", "run 2"] == labels(base, base)


@pytest.mark.parametrize(("width", "intervals"), [(60, 2), (80, 3), (100, 3), (200, 3)])
def test_tables_fit_the_terminal_and_nothing_is_cut(width: int, intervals: int) -> None:
    one = Estimate(1.0, 0.96, 1.0)
    scores = {
        metric: one if metric == "hit_rate@5" else Estimate(0.573, 0.523, 0.622)
        for metric in METRICS
    }
    outcomes = [
        Outcome(str(n), f"q{n}", "c", [["a"]], ["a"], [1.0], 1, dict.fromkeys(METRICS, 1.0))
        for n in range(5)
    ]
    for made in (
        runs_table([("base", scores), ("tuned", scores), ("hybrid:0.70", scores)], title="96"),
        comparison_table(
            compare_outcomes(outcomes, outcomes, seed=1), title="5 held-out questions"
        ),
    ):
        console = Console(width=width, file=io.StringIO())
        console.print(made)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert max(map(len, lines)) <= width
        assert not any("…" in line for line in lines)
        # One line a row: nothing is folded either.
        rows = [line for line in lines if re.match(r"base|tuned|hybrid|hit@|MRR|nDCG", line)]
        assert len(rows) in (3, len(COMPARED_METRICS))
        assert all(line.count("[") == line.count("]") >= intervals for line in rows)


@pytest.mark.parametrize(
    ("width", "heads"),
    [("60", ["hit@1", "MRR@10", "nDCG@10"]), ("80", ["hit@1", "hit@5", "MRR@10", "nDCG@10"])],
)
def test_intervals_are_whole_on_a_narrow_terminal(
    shop: Path, monkeypatch: pytest.MonkeyPatch, width: str, heads: list[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", width)
    lines = Text.from_ansi(evaluate(shop, *RETRIEVERS).stdout).plain.splitlines()
    assert lines[1].split() == ["run", *heads]
    assert [line.count("]") for line in lines[3:6]] == [len(heads)] * 3
    assert ("no room for hit@5" in [line.rstrip() for line in lines]) == (width == "60")
    # Nor are those in sentences.
    assert all(line.count("[") == line.count("]") for line in lines)
    # A path is not broken.
    assert lines[-1].endswith("/report.html")
    assert max(map(len, lines[:-1])) <= int(width)


def test_a_filter_is_part_of_what_is_scored(shop: Path) -> None:
    for where, share in {
        "category = billing": 1 / 3,
        "category in (billing, orders) and date >= 2023": 2 / 3,
        "category != shop and date < 2023": 0,
    }.items():
        for retriever in ("keyword+window:1", "vector+window:1", "exact+window:1"):
            values = evaluate_json(shop, "--retriever", retriever, "--where", where)
            # The answers to the other questions are not among what is searched.
            assert means(values, "hit_rate@10") == {retriever: pytest.approx(share)}


def test_a_filter_that_nothing_knows(shop: Path) -> None:
    done = run_app(
        *("evaluate", shop / "q.jsonl", "--storage", shop / "storage", "--where", "colour = red")
    )
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --where: no chunk has the key 'colour'; known keys: ")


def test_file_names_are_safe_and_no_two_runs_share_one(shop: Path, tmp_path: Path) -> None:
    judge = shop / "judges" / "a judge"
    twins = [f"vector+rerank:{judge}+window:{size}" for size in (1, 2)]
    specs = ["vector", *twins, "exact", "exact"]
    options = [part for spec in specs for part in ("--retriever", spec)]
    values = evaluate_json(shop, *options, "--out", tmp_path / "out")
    assert [run["retriever"] for run in values["runs"]] == specs
    names = outcome_files(tmp_path / "out")
    assert len(names) == 5
    name = values["runs"][0]["name"]
    assert {f"{name}-vector.jsonl", f"{name}-exact.jsonl", f"{name}-exact-2.jsonl"} < set(names)
    for file in names:
        assert not set(file) & set(' /\\:*?"<>|')
        assert len(file.encode()) <= 100
        assert len(read_outcomes(tmp_path / "out" / file)) == 3


def test_a_model_that_was_trained_on_these_documents(shop: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shop / "elsewhere" / "tiny", tmp_path / "tuned" / "tiny")
    write_training_documents(other, ["docs/refunds.md", "docs/hours.md", "docs/gone.md"])
    models = ("--model", "tiny", "--model", str(other))
    done = evaluate(shop, *models, "--json", "--out", tmp_path / "out")
    runs = json.loads(done.stdout)["runs"]
    assert [(run["name"], run["model"], run["trained_on"]) for run in runs] == [
        ("tiny", "tiny", 0),
        ("tiny", str(other), 2),
    ]
    assert done.stderr.startswith(
        f"warning: {other} was trained on the documents of 2 of these questions; its scores on "
        "them say nothing about new ones\n"
    )
    assert done.stderr.count("warning: ") == 1
    # What it was trained on does not judge it.
    judged = runs[1]["against_first"]
    assert judged["verdict"] is None
    assert judged["reason"] == (
        "2 of 3 questions are training questions of one of the two runs; judge it on questions "
        "that training never saw"
    )
    assert set(judged["differences"]["mrr@10"]) >= {"mean", "low", "high", "p"}
    said = evaluate(shop, *models).stdout
    assert said.splitlines()[0].rstrip() == "3 questions, 2 of them training questions"
    assert f"tuned against base: no verdict: {judged['reason']}\n" in said
    assert "promote" not in said
    # Two models of one name: nothing is written over.
    names = outcome_files(tmp_path / "out")
    assert names == ["tiny-exact-2.jsonl", "tiny-exact.jsonl"]


def kept_weights(shop: Path, folder: Path, question_ids: tuple[str, ...] | None) -> None:
    """A storage of its own, whose index keeps weights and asks with them."""
    shutil.copytree(shop / "storage", folder)
    index = Catalog(folder).open()
    learned = LearnedFusion({"keyword": 1.0}, "rag-app sweep", 50, question_ids=question_ids)
    index.keep_fusion(learned.to_json())
    index.keep_retriever("hybrid:learned")


@pytest.mark.parametrize("asked", ["hybrid:learned", "index"])
def test_weights_are_not_judged_by_the_questions_that_taught_them(
    shop: Path, tmp_path: Path, asked: str
) -> None:
    taught = [DOCUMENTS[name][1] for name in ("refunds.md", "hours.md")]
    kept_weights(shop, tmp_path / "storage", tuple(map(question_id, taught)))
    options = ("--storage", tmp_path / "storage", "--retriever", "exact", "--retriever", asked)
    done = evaluate(shop, *options, "--json")
    runs = json.loads(done.stdout)["runs"]
    assert [run["trained_on"] for run in runs] == [0, 2]
    assert runs[1]["against_first"]["verdict"] is None
    assert done.stderr.count("warning: ") == 1
    assert done.stderr.startswith(
        f"warning: the reranker or the weights of {asked} learned from 2 of these questions; its "
        "scores on them say nothing about new ones\n"
    )


def test_weights_of_a_version_that_kept_no_questions_get_no_verdict(
    shop: Path, tmp_path: Path
) -> None:
    kept_weights(shop, tmp_path / "storage", None)
    options = ("--storage", tmp_path / "storage", "--retriever", "index", "--retriever", "exact")
    done = evaluate(shop, *options, "--json")
    judged = json.loads(done.stdout)["runs"][1]["against_first"]
    assert judged["verdict"] is None
    assert judged["reason"] == (
        "the weights of hybrid:learned were learned on 50 questions (rag-app sweep) by a version "
        "that did not keep which; learn them anew with `rag-app sweep` or `rag-app finetune`"
    )
    assert done.stderr.startswith(f"warning: {judged['reason']}\n")


def test_the_warning_comes_once_for_a_model(shop: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shop / "elsewhere" / "tiny", tmp_path / "tuned" / "tiny")
    write_training_documents(other, ["docs/refunds.md"])
    done = evaluate(shop, "--model", str(other), "--retriever", "exact", "--retriever", "keyword")
    assert done.stderr.count("was trained on the documents of 1 of these questions") == 1


def test_names_are_whole_in_a_narrow_terminal() -> None:
    console = Console(width=40, file=io.StringIO())
    score = "0.333 [0.000, 1.000]"
    rows = [(f"index-of-that-name {spec}", score, score) for spec in ("keyword+window:1", "vector")]
    console.print(table(("run", "hit_rate@1", "mrr@10"), rows))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in written
    assert "vector" in written


def rewriting(request: Request) -> Reply:
    if "doors" in request.prompt:
        return failure(401, "no key")
    return completion("1. five days\n2. by freight")


def test_questions_that_a_language_model_rewrites(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One after the other: what fails ends what is under way.
    monkeypatch.setenv("RAG_APP_LLM_CONCURRENCY", "1")
    storage = shutil.copytree(shop / "storage", tmp_path / "storage")
    with FakeEndpoint(rewriting) as fake:
        llm = ("--llm", "endpoint", "--llm-base-url", fake.url, "--llm-model", "gemma")
        options = ("--retriever", "keyword+multi_query", "--storage", storage, *llm)
        done = evaluate(shop, *options, "--json")
        first = len(fake.requests)
        evaluate(shop, *options)
        # Kept in the storage; what failed is asked again.
        assert [request.prompt[-5:] for request in fake.requests[first:]] == ["open."]
    [run] = json.loads(done.stdout)["runs"]
    [(warning, count)] = run["warnings"].items()
    assert count == 1
    assert warning.startswith(
        "the question was asked as it stands: the language model did not rewrite it "
        f"({fake.url} answers 401: no key; "
    )
    said = f"warning: keyword+multi_query, 1 of 3 questions: {warning}\n"
    assert done.stderr.startswith(said)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--retriever", "magic"),
            "unknown retriever 'magic'; it is one of exact, vector, keyword, hybrid, ranks, index, "
            "as in hybrid:0.7+latest+window:1 or hybrid:learned",
        ),
        (
            ("--retriever", "exact", "--retriever", "keyword+hyde", "--llm", "none"),
            "hyde asks a language model and there is none; pip install 'rag-app[local-llm]', or "
            "name an endpoint with --llm-base-url and --llm-model",
        ),
        (
            ("--retriever", "hybrid:auto"),
            "hybrid:auto: only `rag-app sweep` tunes the weight, on questions whose answers are "
            "known; run it, or write a number: hybrid:0.7",
        ),
        (
            ("--retriever", "vector", "--model", "tiny"),
            "--retriever vector asks an index, and --model has none; use --index NAME, or "
            "--retriever exact",
        ),
        (
            ("--today", "someday"),
            "--today is 'someday'; write a date such as 2024-03-05, without a time",
        ),
    ],
)
def test_what_cannot_be_scored(shop: Path, options: tuple[str, ...], says: str) -> None:
    done = run_app("evaluate", shop / "q.jsonl", "--storage", shop / "storage", "--json", *options)
    assert done.exit_code == 2
    assert json.loads(done.stdout) == {"error": says, "kind": "ConfigError"}
    assert done.stderr == f"error: {says}\n"


# Kept runs


def test_a_run_is_kept_under_a_name_of_its_own(shop: Path, tmp_path: Path) -> None:
    """The same run replaces it, another one stands beside it, and `runs list` shows both."""
    results = tmp_path / "results"
    (tmp_path / "rag_app.toml").write_text(f'results = "{results}"\n', "utf-8")
    first = evaluate_json(shop, "--retriever", "keyword")
    folder = Path(first["results"])
    assert folder.parent == results
    assert re.fullmatch("evaluate-[0-9a-f]{8}", folder.name)
    assert first["report"] == str(folder / "report.html")
    assert outcome_files(folder) == [first["runs"][0]["outcomes"]]
    (folder / "of the former.jsonl").write_text("", "utf-8")
    again = evaluate(shop, "--retriever", "keyword")
    assert again.stdout.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert outcome_files(folder) == [first["runs"][0]["outcomes"]]
    other = evaluate_json(shop, "--retriever", "keyword+window:1")
    done = run_app("runs", "list", "--storage", shop / "storage", "--json")
    listed = [(one["name"], one["kind"], one["n"]) for one in json.loads(done.stdout)["runs"]]
    names = [Path(one["results"]).name for one in (other, first)]
    assert sorted(listed) == sorted((name, "evaluate", 3) for name in names)
    assert len(set(names)) == 2


def test_a_run_after_the_documents_changed_stands_beside_the_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_tiny_model(tmp_path / "storage" / "models" / "tiny")
    (tmp_path / "hours.md").write_text("The shop is open from nine to six.\n", "utf-8")
    row = {"question": "opening hours", "document": "hours.md", "evidence": "from nine to six"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row), "utf-8")
    kept = []
    for text in ("Parcels go by freight.\n", "Parcels go by train.\n"):
        (tmp_path / "parcels.md").write_text(text, "utf-8")
        assert run_app("ingest", ".", "--model", "tiny", "--quiet").exit_code == 0
        done = run_app("evaluate", "q.jsonl", "--retriever", "keyword", "--quiet", "--json")
        kept.append(json.loads(done.stdout)["results"])
    assert kept[0] != kept[1]


def test_a_baseline_is_read_before_the_same_run_takes_its_place(shop: Path, tmp_path: Path) -> None:
    """What a version of the program answers otherwise has to show, though nothing else changed."""
    (tmp_path / "rag_app.toml").write_text('results = "results"\n', "utf-8")
    before = evaluate_json(shop, "--retriever", "keyword+window:1")
    file = Path(before["results"]) / before["runs"][0]["outcomes"]
    kept = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    # As if the former version had missed them all.
    missed = [{**one, "rank": None, "values": dict.fromkeys(one["values"], 0.0)} for one in kept]
    file.write_text("\n".join(map(json.dumps, missed)), "utf-8")
    values = evaluate_json(shop, "--retriever", "keyword+window:1", "--baseline", file.parent)
    assert values["results"] == before["results"]
    assert values["baseline"]["differences"]["hit_rate@1"]["mean"] == 1


# The gate


def test_a_run_is_held_against_an_earlier_one(shop: Path, tmp_path: Path) -> None:
    """The words of a question stand in the chunk before its answer, which a window takes along."""
    before = evaluate_json(shop, "--retriever", "keyword+window:1", "--out", tmp_path / "before")
    assert before["results"] == str(tmp_path / "before")
    [run] = before["runs"]
    assert (run["chunk_size"], run["chunk_overlap"]) == (48, 0)
    # The report is written from this file.
    report = before.pop("report")
    assert report == str(tmp_path / "before" / "report.html")
    assert json.loads((tmp_path / "before" / "evaluate.json").read_text()) == before
    gate = ("--baseline", tmp_path / "before", "--fail-if-worse", "--json")
    where = (shop / "q.jsonl", "--storage", shop / "storage", "--quiet")
    same = run_app("evaluate", *where, "--retriever", "keyword+window:1", *gate)
    assert same.exit_code == 0
    values = json.loads(same.stdout)
    assert len(values["runs"]) == 1
    assert values["baseline"]["decision"] == "no loss"
    assert values["baseline"]["apart"] == []
    # All three fall from the first place. Of 8 sign patterns 2 are as far out: no certain loss.
    worse = run_app("evaluate", *where, "--retriever", "keyword", *gate)
    assert worse.exit_code == 3
    found = json.loads(worse.stdout)["baseline"]
    assert found["differences"]["mrr@10"]["p"] == 2 / 8
    assert found["apart"] == ["retriever keyword, was keyword+window:1"]
