"""The command line as a user or a program sees it: output, errors, exit codes, the REPL."""

import datetime as dt
import errno
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure, pieces
from rich.text import Text
from test_architecture import HEAVY as HEAVY_LIBRARIES
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app
from rag_app.cli.given import language_model_of, workspace_of
from rag_app.cli.retrieval import make_tools
from rag_app.config import Settings
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint
from rag_app.query.session import Session
from rag_app.retrieve import RetrievalOptions

# Typer itself takes pydantic to write a help page.
HEAVY = tuple(name for name in HEAVY_LIBRARIES if name != "pydantic")
STAGES = ("ingest", "questions", "finetune", "evaluate", "query", "sweep", "doctor", "index")
DOCUMENTS = {
    "refunds.md": "# Refunds\n\nRefunds are paid within five working days.\n",
    "parcels.md": "# Parcels\n\nParcels over thirty kilograms go by freight.\n",
    "hours.md": "# Opening hours\n\nThe shop is open from nine to six.\n",
}


EXCERPTS = (
    "no language model answers, so here are excerpts of the passages (whole with --full, or "
    "/sources in the REPL):"
)

pytestmark = pytest.mark.usefixtures("single_thread")


def run_app(*arguments: str | Path, typed: str | None = None) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments], input=typed)


def run_json(*arguments: str | Path) -> dict[str, Any]:
    """What a command prints with --json: one object, one line, nothing else."""
    done = run_app(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("\n") == 1
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def write_documents(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def storage(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty storage with the model "tiny", in a folder without settings."""
    shutil.copytree(model, tmp_path / "storage" / "models" / "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path / "storage"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_documents(tmp_path / "docs")


@pytest.fixture
def shop(storage: Path, docs: Path) -> Path:
    """A storage into which the documents were ingested."""
    done = run_app("ingest", docs, "--storage", storage, "--model", "tiny", "--quiet")
    assert done.exit_code == 0, done.stderr
    return storage


def name_of(storage: Path) -> str:
    """The index in service."""
    return str(json.loads((storage / "active.json").read_text("utf-8"))["active"])


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


HELP = """
import sys
from rag_app.cli import main
for stage in ([], *([stage] for stage in {stages})):
    sys.argv = ["rag-app", *stage, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code
    loaded = [name for name in {heavy} if name in sys.modules]
    assert not loaded, (stage, loaded)
"""


def test_help_names_the_defaults() -> None:
    shown = run_app("query", "--help").stdout
    assert "vector+questions]" in shown
    assert "[in service]" in shown


def test_help_loads_nothing_heavy() -> None:
    done = python("-W", "error", "-c", HELP.format(stages=STAGES, heavy=HEAVY))
    assert done.returncode == 0, done.stderr
    for stage in STAGES:
        assert f"Usage: rag-app {stage} " in done.stdout


@pytest.mark.parametrize("stage", ["ingest", "finetune", "evaluate", "query"])
def test_help_of_a_module_loads_nothing_heavy(stage: str) -> None:
    done = python("-X", "importtime", "-m", f"rag_app.{stage}", "--help")
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & set(HEAVY)


@pytest.mark.parametrize("stage", STAGES[:-2])
def test_python_m_and_rag_app_are_the_same(stage: str) -> None:
    module = python("-m", f"rag_app.{stage}", "--help")
    script = python("-c", f"from rag_app.cli import main; main({stage!r})", "--help")
    assert (module.returncode, module.stderr) == (0, "")
    assert module.stdout == script.stdout
    assert f"Usage: rag-app {stage} " in module.stdout


# Errors.


def check_error(*arguments: str | Path, kind: str, says: str) -> None:
    """Exit code 2, one line on standard error; with --json the same as an object."""
    plain = run_app(*arguments)
    assert plain.exit_code == 2, plain.stderr
    assert plain.stdout == ""
    assert plain.stderr.startswith("error: ")
    assert plain.stderr.count("\n") == 1
    assert says in plain.stderr
    asked = run_app(*arguments, "--json")
    assert asked.exit_code == 2
    values = json.loads(asked.stdout)
    assert values == {"error": plain.stderr.removeprefix("error: ").rstrip("\n"), "kind": kind}
    assert asked.stdout.count("\n") == 1
    assert asked.stderr == plain.stderr


def test_an_unknown_key_in_the_settings_file(storage: Path, docs: Path) -> None:
    Path("rag_app.toml").write_text("chunksize = 128\n", "utf-8")
    check_error("ingest", docs, kind="ConfigError", says="did you mean 'chunk_size'?")


def test_a_settings_file_that_is_not_there(storage: Path) -> None:
    check_error("query", "--config", "none.toml", kind="ConfigError", says="does not exist")


def test_query_before_any_ingest(storage: Path) -> None:
    check_error(
        "query",
        "-q",
        "refund?",
        "--storage",
        storage,
        kind="IndexMissing",
        says="run `rag-app ingest PATH` first",
    )


def test_an_unknown_model_without_a_network(storage: Path, docs: Path) -> None:
    check_error(
        "ingest",
        docs,
        "--model",
        "nobody/nothing",
        kind="ModelError",
        says="the hub was not asked (set RAG_APP_OFFLINE=false to ask it)",
    )


def test_ingest_of_a_missing_path(storage: Path) -> None:
    check_error("ingest", "nowhere", "--model", "tiny", kind="DocumentError", says="nowhere")


def test_ingest_of_another_model_into_an_index(shop: Path, docs: Path) -> None:
    make_tiny_model(shop / "models" / "other", seed=1)
    check_error(
        "ingest",
        docs,
        "--storage",
        shop,
        "--model",
        "other",
        "--index",
        name_of(shop),
        kind="IndexMismatch",
        says="was made with tiny",
    )


def test_finetune_on_too_few_questions(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without --pairs the questions are written first, here from three sentences.
    monkeypatch.setenv("RAG_APP_LLM", "none")
    check_error(
        "finetune", "--storage", shop, "--quiet", kind="PairsError", says="are too few to train on"
    )


def test_finetune_on_an_unknown_kind(shop: Path) -> None:
    check_error(
        "finetune",
        "--storage",
        shop,
        "--train-on",
        "luck",
        kind="ConfigError",
        says="--train-on is 'luck'; it takes one of: labelled, synthetic, both",
    )


def test_evaluate_with_an_unknown_retriever(shop: Path) -> None:
    check_error(
        "evaluate",
        "q.jsonl",
        "--storage",
        shop,
        "--retriever",
        "magic",
        kind="ConfigError",
        says="unknown retriever 'magic'; it is one of exact, vector, keyword, hybrid, ranks",
    )


def test_evaluate_without_the_file(shop: Path) -> None:
    check_error("evaluate", "q.jsonl", "--storage", shop, kind="PairsError", says="q.jsonl")


def test_an_index_that_is_not_there(shop: Path) -> None:
    for action in ("use", "remove"):
        check_error(
            "index", action, "nope", "--storage", shop, kind="IndexMissing", says="known: tiny-256"
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ingest", ""), "PATHS is empty; name one"),
        (("ingest", "docs", ""), "PATHS is empty; name one"),
        (("ingest", "docs", "--storage", ""), "--storage is empty; give it a value, or leave it"),
        (("ingest", "docs", "--model", " "), "--model is empty"),
        (("ingest", "docs", "--config="), "--config is empty"),
        (("finetune", "--pairs", ""), "--pairs is empty"),
        (("finetune", "--canary", ""), "--canary is empty"),
        (("questions", "--out", ""), "--out is empty"),
        (("questions", "--examples", ""), "--examples is empty"),
        (("evaluate", ""), "QUESTIONS is empty; name one"),
        (("evaluate", "q.csv", "--retriever", "exact", "--retriever", ""), "--retriever is empty"),
        (("query", "-q", "x", "--where", ""), "--where is empty"),
        (("sweep", "--grid", ""), "--grid is empty"),
        (("index", "list", "--chroma-url", ""), "--chroma-url is empty"),
    ],
)
def test_what_is_empty_is_not_taken_for_what_was_not_given(
    storage: Path, docs: Path, arguments: tuple[str, ...], says: str
) -> None:
    check_error(*arguments, kind="ConfigError", says=says)
    assert sorted(path.name for path in storage.parent.iterdir()) == ["docs", "storage"]


@pytest.mark.parametrize("share", ["0", "-0.1", "1"])
def test_a_share_of_no_held_out_questions_is_refused_before_the_work(
    storage: Path, share: str
) -> None:
    check_error(
        *("finetune", "--pairs", "none.csv", "--test-share", share),
        kind="ConfigError",
        says="the verdict needs held-out questions: name a share between 0 and 1, such as .3",
    )


def test_ingest_says_what_it_left_out_of_a_file(storage: Path, docs: Path) -> None:
    path = docs / "faq.csv"
    path.write_text("FAQ of the shop,\nquestion,answer\nWhen?,Soon.\nWhy?,\n", "utf-8")
    said = "docs/faq.csv was read without 1 row above the header (row 1); 1 row without an"
    plain = run_app("ingest", docs)
    assert plain.exit_code == 0
    assert said in " ".join(plain.stderr.split())
    asked = run_app("ingest", docs, "--json")
    assert json.loads(asked.stdout)["left_out"] == [
        {
            "path": str(path.resolve()),
            "part": "rows above the header",
            "count": 1,
            "place": "row 1",
        },
        {
            "path": str(path.resolve()),
            "part": "rows without an answer",
            "count": 1,
            "place": "row 4",
        },
    ]


def test_debug_shows_the_traceback_and_ends_with_2(storage: Path) -> None:
    done = run_app("ingest", "nowhere", "--debug", "--json")
    assert done.exit_code == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert "rag_app.errors.DocumentError" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: nowhere does not exist")
    assert json.loads(done.stdout)["kind"] == "DocumentError"


class Failing:
    """A stage that ends badly."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *_arguments: Any, **_options: Any) -> None:
        raise self.error


def test_ctrl_c_ends_with_130(storage: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.ingest.stage.ingest", Failing(KeyboardInterrupt()))
    done = run_app("ingest", docs, "--json")
    assert done.exit_code == 130
    assert done.stdout == ""
    assert done.stderr == "stopped; nothing is lost, the same command goes on from here\n"


def test_debug_shows_what_the_disk_refused(
    storage: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/big/file")
    monkeypatch.setattr("rag_app.ingest.stage.ingest", Failing(full))
    done = run_app("ingest", docs, "--debug")
    assert done.exit_code == 2
    assert "OSError: [Errno 28] No space left on device: '/big/file'" in done.stderr


def test_a_full_disk_names_the_mend(
    storage: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/big/file")
    monkeypatch.setattr("rag_app.ingest.stage.ingest", Failing(full))
    check_error(
        "ingest",
        docs,
        kind="StorageError",
        says="/big/file: the disk is full; free some space or name another folder with --storage",
    )


def test_a_bug_keeps_its_traceback(
    storage: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bug in (ZeroDivisionError(), OSError(errno.EBADF, "broken")):
        monkeypatch.setattr("rag_app.ingest.stage.ingest", Failing(bug))
        assert run_app("ingest", docs).exception is bug


# Ingest.


def ingested(done: Result) -> str:
    """Standard output with the seconds taken out."""
    return re.sub(r"\d+\.\d s$", "N s", done.stdout, flags=re.MULTILINE)


def test_what_ingest_prints(storage: Path, docs: Path) -> None:
    (docs / "notes.xyz").write_text("not read", "utf-8")
    (docs / "empty.md").write_text("", "utf-8")
    arguments = ("ingest", docs, "--storage", storage, "--model", "tiny", "--quiet")
    first = run_app(*arguments)
    index = name_of(storage)
    assert re.fullmatch(r"tiny-256-[0-9a-f]{6}", index)
    assert ingested(first) == (
        "3 added, 0 changed, 0 unchanged, 0 removed, 1 failed, 1 skipped\n"
        f"index {index}: 3 chunks, tiny, N s\n"
    )
    assumed, empty = first.stderr.splitlines()
    assert assumed.startswith("warning: nothing is known of how tiny was trained")
    assert empty.startswith("warning: docs/empty.md is empty")
    (docs / "empty.md").unlink()
    (docs / "hours.md").write_text("# Opening hours\n\nThe shop is closed.\n", "utf-8")
    (docs / "parcels.md").unlink()
    second = run_app(*arguments)
    assert ingested(second) == (
        "0 added, 1 changed, 1 unchanged, 1 removed, 0 failed, 1 skipped\n"
        f"index {index}: 2 chunks, tiny, N s\n"
    )
    assert second.stderr == ""


def test_ingest_says_which_documents_have_two_dates(storage: Path, docs: Path) -> None:
    name = "2024-03-05-news.md"
    (docs / name).write_text("---\ndate: 2024-03-07\n---\nNews of the shop.", "utf-8")
    said = (
        f"1 document has two dates that differ, e.g. docs/{name}: 2024-03-07 of its fields is "
        "taken, 2024-03-05 of its file name is not; fields come before the file's name"
    )
    assert said in " ".join(run_app("ingest", docs).stdout.split())
    assert json.loads(run_app("ingest", docs, "--json").stdout)["dates_differ"] == [
        {
            "document": f"docs/{name}",
            "date": "2024-03-07",
            "source": "fields",
            "other": "2024-03-05",
            "other_source": "file name",
        }
    ]


def test_what_ingest_prints_for_programs(storage: Path, docs: Path) -> None:
    (docs / "empty.md").write_text("", "utf-8")
    values = run_json("ingest", docs, "--storage", storage, "--model", "tiny")
    assert values.pop("seconds") >= 0
    [failed] = values.pop("failed")
    assert failed["path"] == str(docs / "empty.md")
    assert failed["reason"].startswith("is empty")
    [assumed] = values.pop("warnings")
    assert assumed.startswith("nothing is known of how tiny was trained")
    assert values == {
        "index": name_of(storage),
        "model": "tiny",
        "added": 3,
        "changed": 0,
        "unchanged": 0,
        "removed": 0,
        "skipped": [],
        "left_out": [],
        "by_ocr": [],
        "dates_differ": [],
        "merged": 0,
        "near_duplicates": {"count": 0, "documents": [], "left_out": False},
        "chunks": 3,
        "known_questions": 0,
        "requestioned": 0,
        "truncated_chunks": 0,
        "lost": [],
    }


def test_ingest_says_what_it_skipped_and_merged(
    storage: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (docs / f"{number}.xyz").write_text("not read", "utf-8")
    (docs / "faq.json").write_text("[1]", "utf-8")
    (docs / "t.csv").write_text("question,answer\na,yes it is\nb,yes it is\nc,yes it is\n", "utf-8")
    arguments = ("ingest", docs, "--storage", storage, "--model", "tiny")
    done = run_app(*arguments)
    said = [line for line in done.stderr.splitlines() if line.startswith("skipped: ")]
    assert said[0].startswith("skipped: docs/0.xyz is of a kind that is not read; those that are: ")
    assert (len(said), said[-1]) == (6, "skipped: 2 more (all of them are in --json)")
    # Whole, where it does not lie below the current folder.
    monkeypatch.chdir(storage)
    assert f"skipped: {docs / '0.xyz'} is of a kind" in run_app(*arguments).stderr
    assert "2 rows have an answer that another row has; equal answers are kept as" in done.stdout
    values = run_json(*arguments)
    assert values["merged"] == 2
    reasons = {Path(one["path"]).name: one["reason"] for one in values["skipped"]}
    assert len(reasons) == 7
    assert reasons["faq.json"].startswith("is JSON, but no array of objects with question")


def test_a_table_with_other_columns_ends_with_2_and_leaves_no_index(
    storage: Path, tmp_path: Path
) -> None:
    (tmp_path / "faq.csv").write_text("ask,reply\nq,a\n", "utf-8")
    check_error(
        *("ingest", tmp_path / "faq.csv", "--storage", storage, "--model", "tiny"),
        kind="DocumentError",
        says="name yours with --question-column/--answer-column",
    )
    found = run_json("index", "list", "--storage", storage)
    assert (found["active"], found["indexes"]) == (None, [])


# Indexes.


def listed(storage: Path) -> dict[str, bool]:
    values = run_json("index", "list", "--storage", storage)
    return {index["name"]: index["name"] == values["active"] for index in values["indexes"]}


def test_indexes_are_listed_switched_rolled_back_and_removed(shop: Path, docs: Path) -> None:
    first = name_of(shop)
    small = ("--model", "tiny", "--chunk-size", "32", "--chunk-overlap", "8")
    done = run_app("ingest", docs, "--storage", shop, *small)
    second = next(name for name in listed(shop) if name != first)
    assert f"it is not in service; `rag-app index use {second}` puts it there" in done.stderr
    assert listed(shop) == {first: True, second: False}

    used = run_app("index", "use", second, "--storage", shop)
    assert used.stdout == f"{second} is in service; `rag-app index rollback` takes it back\n"
    assert listed(shop) == {first: False, second: True}
    assert run_app("index", "remove", second, "--storage", shop).exit_code == 2

    back = run_app("index", "rollback", "--storage", shop)
    assert back.stdout == f"{first} is in service again\n"
    assert listed(shop) == {first: True, second: False}
    assert run_json("index", "remove", second, "--storage", shop) == {"removed": second}
    assert listed(shop) == {first: True}
    check_error(
        "index", "rollback", "--storage", shop, kind="IndexMissing", says="no earlier index"
    )


def test_what_index_list_prints(shop: Path) -> None:
    lines = run_app("index", "list", "--storage", shop).stdout.splitlines()
    rows = [line.split() for line in lines if line.strip(" ─")]
    assert rows[0] == "index model chunk size chunks made MRR@10".split()  # noqa: SIM905
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    assert rows[1] == ["*", name_of(shop), "tiny,", "base", "256/32", "3", today]
    assert lines[-1].startswith("* in service. `rag-app index use NAME` switches")


def test_index_list_shows_what_finetune_measured(shop: Path) -> None:
    name = name_of(shop)
    kept = shop / "results" / "finetune-tiny-mnrl-1" / "finetune.json"
    kept.parent.mkdir(parents=True)
    scores = {"base": {"mrr@10": {"mean": 0.5}}, "tuned": {"mrr@10": {"mean": 0.75}}}
    kept.write_text(json.dumps({"index": name, "base_index": "other", **scores}), "utf-8")
    torn = shop / "results" / "finetune-torn" / "finetune.json"
    torn.parent.mkdir()
    torn.write_text("{", "utf-8")
    [index] = run_json("index", "list", "--storage", shop)["indexes"]
    assert index["mrr@10"] == 0.75
    shown = run_app("index", "list", "--storage", shop).stdout
    row = next(line for line in shown.splitlines() if name in line)
    assert row.endswith(" .750")


def test_a_part_of_an_index_name_is_enough(shop: Path, docs: Path) -> None:
    first = name_of(shop)
    small = ("--model", "tiny", "--chunk-size", "32", "--chunk-overlap", "8")
    run_app("ingest", docs, "--storage", shop, *small)
    second = next(name for name in listed(shop) if name != first)
    assert len(second) <= 30
    assert run_json("index", "use", "tiny-32", "--storage", shop) == {"active": second}
    assert run_json("index", "use", "base", "--storage", shop) == {"active": second}
    check_error(
        "index",
        "use",
        "tiny",
        "--storage",
        shop,
        kind="IndexMissing",
        says=f"'tiny' could be any of the indexes {first}, {second}; write more of the name",
    )
    check_error("index", "use", "tuned", "--storage", shop, kind="IndexMissing", says="known: ")
    assert run_json("index", "remove", "tiny-256", "--storage", shop) == {"removed": first}


def test_index_list_without_an_index(storage: Path) -> None:
    done = run_app("index", "list", "--storage", storage)
    assert done.stdout == "no index yet; run `rag-app ingest PATH`\n"
    assert run_json("index", "list", "--storage", storage) == {"active": None, "indexes": []}


# Evaluate.


def test_what_evaluate_prints(shop: Path, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    rows = [
        {"question": text.splitlines()[2], "document": name} for name, text in DOCUMENTS.items()
    ]
    questions.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    both = ("--retriever", "exact", "--retriever", "vector")
    values = run_json("evaluate", questions, "--storage", shop, *both)
    assert values["unmatched"] == 0
    assert [run["retriever"] for run in values["runs"]] == ["exact", "vector"]
    for run in values["runs"]:
        assert (run["model"], run["n"]) == ("tiny", 3)
        assert set(run["mrr@10"]) == {"mean", "low", "high"}
        # Three passages in all, so the right one is among the first three.
        assert run["hit_rate@3"]["mean"] == 1.0
    assert values["runs"][1]["against_first"]["verdict"] == "hold"


# Query.


def test_one_question_for_programs(shop: Path, docs: Path) -> None:
    question = "refunds are paid within five days"
    values = run_json("query", "-q", question, "--storage", shop, "--llm", "none", "--k", "2")
    assert values["question"] == question
    assert values["answer"] is None
    assert [citation["n"] for citation in values["citations"]] == [1, 2]
    best = values["citations"][0]
    assert {"n", "path", "page", "start", "end", "text", "score"} <= set(best)
    text = DOCUMENTS[Path(best["path"]).name]
    assert best["text"] in text
    assert best["end"] - best["start"] == len(best["text"])
    assert 1 >= best["score"] >= values["citations"][1]["score"]


def test_one_question_for_people(shop: Path) -> None:
    done = run_app("query", "-q", "when are refunds paid", "--storage", shop, "--llm", "none")
    assert done.exit_code == 0
    intro, *lines = done.stdout.strip("\n").splitlines()
    assert intro == EXCERPTS
    heads = [line for line in lines if line.startswith("[")]
    assert len(heads) == 3
    for n, head in enumerate(heads, 1):
        assert re.fullmatch(
            rf"\[{n}\] 0\.\d{{3}}  [A-Z][a-z ]+  \(docs/[a-z]+\.md, characters \d+-\d+\)", head
        )
    assert "    # Refunds Refunds are paid within five working days.\n" in done.stdout
    whole = run_app(
        *("query", "-q", "when are refunds paid", "--storage", shop, "--llm", "none", "--full")
    )
    assert "\nno language model answers, so here are the passages:\n" in whole.stdout
    # With their lines.
    assert "    # Refunds\n    Refunds are paid within five working days.\n" in whole.stdout


@pytest.mark.parametrize(
    ("follows", "settings", "answers"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"llm": "local"}, True),
        (False, {"llm_model": "base.gguf"}, True),
    ],
)
def test_a_model_that_only_continues_text_answers_if_it_is_asked_to(
    shop: Path, follows: bool, settings: dict[str, str], answers: bool
) -> None:
    chosen = Settings(storage=shop, **settings)
    workspace = workspace_of(chosen)
    opened = workspace.open()
    endpoint = Endpoint(base_url="http://localhost:1/v1", model="base")
    with ChatModel(endpoint, follows_instructions=follows) as llm:
        session = Session(
            workspace=workspace,
            index=opened.index,
            model=opened.model,
            llm=llm,
            top_k=3,
            retrieval=RetrievalOptions(),
            tools=make_tools(chosen, llm),
            draft=language_model_of(chosen).named,
        )
        assert (session.writer is llm) is answers
        if not answers:
            assert session.ask("when are refunds paid").text is None


@pytest.mark.parametrize("question", ["", "   ", "?!", "x" * 2001])
def test_a_question_that_is_none(shop: Path, question: str) -> None:
    done = run_app("query", "-q", question, "--storage", shop, "--llm", "none")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: the question ")


@pytest.mark.parametrize(
    "command",
    [
        ("index", "use", ""),
        ("index", "remove", ""),
        ("ingest", "docs", "--index", ""),
        ("query", "-q", "refunds", "--llm", "none", "--index", ""),
        ("questions", "--llm", "none", "--index", ""),
        ("finetune", "--index", ""),
        ("sweep", "--index", ""),
        ("evaluate", "questions.jsonl", "--index", ""),
    ],
    ids=lambda command: command[0],
)
def test_an_empty_name_of_an_index_is_refused(shop: Path, command: tuple[str, ...]) -> None:
    (shop.parent / "questions.jsonl").write_text('{"question": "refunds?", "answer": "paid"}\n')
    check_error(*command, kind="ConfigError", says=" is empty; ")


def leave(folder: Path, made: list[str]) -> None:
    """A folder with these files and folders in it, as a kill leaves them."""
    folder.mkdir(parents=True)
    for name in made:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()


@pytest.mark.parametrize("made", [[], ["lock"], ["lock", "store.lock"], ["lock", "chroma/"]])
def test_an_index_that_a_killed_run_left_is_listed_and_removed(
    shop: Path, docs: Path, made: list[str]
) -> None:
    name = name_of(shop)
    leave(shop / "indexes" / "half", made)
    listed = run_app("index", "list", "--storage", shop)
    assert listed.exit_code == 0
    for mend in (
        "half (unfinished): ",
        "`rag-app ingest --index half PATH`",
        "`rag-app index remove half`",
    ):
        assert mend in listed.stdout
    values = run_json("index", "list", "--storage", shop)
    assert [index["name"] for index in values["indexes"]] == [name]
    assert [(one["name"], one["state"]) for one in values["unusable"]] == [("half", "unfinished")]
    assert run_app("index", "remove", "half", "--storage", shop).exit_code == 0
    assert "unusable" not in run_json("index", "list", "--storage", shop)
    leave(shop / "indexes" / "half", made)
    done = run_app("ingest", docs, "--storage", shop, "--index", "half", "--model", "tiny")
    assert done.exit_code == 0, done.stderr
    assert [i["chunks"] for i in run_json("index", "list", "--storage", shop)["indexes"]] == [3, 3]


def test_what_is_no_index_is_not_listed(shop: Path) -> None:
    before = run_json("index", "list", "--storage", shop)
    (shop / "indexes" / "stray.txt").write_text("mine", "utf-8")
    (shop / "indexes" / ".hidden" / "chroma").mkdir(parents=True)
    leave(shop / "indexes" / "notes", ["readme.md"])
    assert run_json("index", "list", "--storage", shop) == before
    for name in ("stray.txt", ".hidden", "notes"):
        check_error(
            *("index", "remove", name, "--storage", shop),
            kind="IndexMissing",
            says=f"there is no index {name!r}",
        )
        assert (shop / "indexes" / name).exists()


@pytest.mark.parametrize(
    ("width", "heads", "left_out"),
    [
        ("40", ["index", "MRR@10"], ["no room for model, chunk size, chunks,", "made"]),
        ("60", ["index", "model", "chunks", "MRR@10"], ["no room for chunk size, made"]),
        ("80", ["index", "model", "chunk size", "chunks", "made", "MRR@10"], []),
    ],
)
def test_names_of_indexes_are_whole_on_a_narrow_terminal(
    shop: Path,
    docs: Path,
    monkeypatch: pytest.MonkeyPatch,
    width: str,
    heads: list[str],
    left_out: list[str],
) -> None:
    name = "all-minilm-l6-tuned-256-928eef"
    done = run_app("ingest", docs, "--storage", shop, "--index", name, "--model", "tiny")
    assert done.exit_code == 0, done.stderr
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", width)
    listed = Text.from_ansi(run_app("index", "list", "--storage", shop).stdout).plain
    made, _, _ = listed.partition("\n\n")
    first, _, *rows = [line.rstrip() for line in made.splitlines()]
    assert re.split(r" {2,}", first.strip()) == heads
    assert [row[2:].split()[0] for row in rows[:2]] == [name, name_of(shop)]
    assert rows[2:] == left_out
    assert max(map(len, rows)) <= int(width)


def test_a_conversation(shop: Path) -> None:
    typed = "/k 2\nwhen are refunds paid\n/sources\n/why\n/model\n\n/k many\n/k\n/nonsense\n/help\n"
    done = run_app("query", "--storage", shop, "--llm", "none", typed=typed + "/quit\nnot asked\n")
    assert done.exit_code == 0
    index = name_of(shop)
    told = done.stderr.splitlines()
    assert told[0] == (f"index {index}, 3 chunks, tiny; language model: none; /help shows commands")
    assert told[1:] == [
        "error: /k takes a number from 1 to 100, not 'many'",
        "error: unknown command /nonsense; /help shows the commands",
    ]
    lines = done.stdout.splitlines()
    assert lines[0] == "2 passages from now on"
    assert lines[2] == EXCERPTS
    # Passages whole, under the same heads as before, each with its file.
    heads = [line for line in lines if re.match(r"\[\d\] 0\.", line)]
    assert len(heads) == 4
    assert heads[:2] == heads[2:]
    assert sum(line.startswith(str(shop.parent / "docs")) for line in lines) == 2
    why = lines.index(
        f"asked 'when are refunds paid' of index {index} (tiny, 3 chunks), "
        "retriever vector+questions"
    )
    model = lines.index(f"* {index}")
    explained = "\n".join(lines[why + 1 : model])
    assert re.search(r"vector +\d+\.\d +2", explained)
    for n in (1, 2):
        assert re.search(
            rf"{n}\. docs/\w+\.md characters \d+-\d+\n +vector +rank {n} +score 0\.\d{{4}}",
            explained,
        )
    assert lines[model + 1] == "2 passages; /k N shows another number"
    assert [line.split()[0] for line in lines[model + 2 :]] == [
        "/k",
        "/open",
        "/sources",
        "/good",
        "/bad",
        "/right",
        "/model",
        "/retriever",
        "/where",
        "/why",
        "/save",
        "/forget",
        "/help",
        "/quit",
    ]
    assert "not asked" not in done.stdout


def test_a_question_that_nothing_is_near(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("query", "-q", "when are refunds paid", "--storage", shop, "--llm", "none")
    assert "weak match" not in run_app(*asked).stdout
    plain = run_json(*asked)
    monkeypatch.setattr("rag_app.retrieve.searched.unrelated_cosine", lambda _: 1.5)
    assert re.search(
        r"^weak match: no passage is near the question \(cosine \.\d{3}; passages of different "
        r"documents here reach 1\.50\); the documents may not answer it$",
        run_app(*asked).stdout,
        re.MULTILINE,
    )
    assert "weak match" not in run_app(*asked, "--retriever", "keyword").stdout
    # What programs read stays as it is.
    assert run_json(*asked) == plain


@pytest.mark.parametrize("leave", ["exit", "quit", "/exit", " /quit "])
def test_ways_to_leave(shop: Path, leave: str) -> None:
    typed = f"{leave}\nnot asked\n"
    done = run_app("query", "--storage", shop, "--llm", "none", typed=typed)
    assert (done.exit_code, done.stdout) == (0, "")


def test_a_conversation_asks_another_index(shop: Path, docs: Path) -> None:
    first = name_of(shop)
    small = ("--model", "tiny", "--chunk-size", "32", "--chunk-overlap", "8")
    run_app("ingest", docs, "--storage", shop, *small)
    second = next(name for name in listed(shop) if name != first)
    typed = f"/model nope\n/model {second}\nrefunds\n/why\n"
    done = run_app("query", "--storage", shop, "--llm", "none", typed=typed)
    assert done.exit_code == 0
    assert "error: there is no index 'nope'" in done.stderr
    assert f"* {second}" in done.stdout
    assert f"of index {second} (tiny, " in done.stdout
    # Which index is in service did not change.
    assert name_of(shop) == first


def with_endpoint(fake: FakeEndpoint) -> tuple[str, ...]:
    return ("--llm", "endpoint", "--llm-base-url", fake.url, "--llm-model", "gemma")


def test_an_answer_and_what_its_check_found(shop: Path) -> None:
    said = 'Refunds are paid within six days. They say "paid at once". Refunds are paid [2].'
    with FakeEndpoint(lambda _: completion(said)) as fake:
        arguments = ("query", "-q", "refunds?", "--storage", str(shop), *with_endpoint(fake))
        done = run_app(*arguments)
        values = run_json(*arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    shown = done.stdout.splitlines()
    refunds = next(n["n"] for n in values["citations"] if n["path"].endswith("refunds.md"))
    assert shown[1:6] == [
        f'Refunds are paid within six days. They say "paid at once". Refunds are paid. [{refunds}]',
        "",
        "no passage supports: Refunds are paid within six days.",
        'no passage supports: They say "paid at once".',
        "no passage says: paid at once",
    ]
    assert values["misquoted"] == ["paid at once"]
    assert values["support_ratio"] == pytest.approx(1 / 3)
    [evidence] = values["evidence"]
    text = DOCUMENTS["refunds.md"][evidence["start"] : evidence["end"]]
    assert text == "Refunds are paid within five working days."
    assert "stream" not in fake.requests[0].body or not fake.requests[0].body["stream"]


def test_a_model_cannot_speak_to_the_terminal(shop: Path) -> None:
    with FakeEndpoint(lambda _: completion("\x1b]0;owned\x07\x1b[2JRefunds\r[bold]!")) as fake:
        done = run_app("query", "-q", "refunds?", "--storage", shop, *with_endpoint(fake))
    # The carriage return is an end of line, as in any text.
    assert done.stdout.splitlines()[1:3] == ["]0;owned[2JRefunds", "[bold]!"]
    assert not set("\x1b\x07\r") & set(done.stdout)


def test_a_follow_up_without_a_language_model(shop: Path) -> None:
    typed = "when are refunds paid\nand parcels?\n/why\n/forget\nand parcels?\n"
    done = run_app("query", "--storage", shop, "--llm", "none", typed=typed)
    assert done.exit_code == 0
    both = "when are refunds paid and parcels?"
    assert done.stdout.count("understood as:") == 1
    assert f"understood as: {both} (with the last question)\n" in done.stdout
    assert f"asked '{both}' of index" in done.stdout
    assert "forgotten; the next question stands alone\n" in done.stdout


def rewriting(request: Request) -> Reply:
    if request.prompt.startswith("Rewrite the last question"):
        return completion("When are parcels over thirty kilograms delivered?")
    return completion("Parcels over thirty kilograms go by freight.")


def test_a_follow_up_that_a_language_model_rewrites(shop: Path) -> None:
    typed = "are parcels over thirty kilograms delivered?\nwhen?\n"
    with FakeEndpoint(rewriting) as fake:
        done = run_app("query", "--storage", shop, "--json", *with_endpoint(fake), typed=typed)
    assert done.exit_code == 0
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["question"], first["understood_as"]) == (typed.splitlines()[0], None)
    assert second["question"] == "when?"
    assert second["understood_as"] == "When are parcels over thirty kilograms delivered?"
    assert f"understood as: {second['understood_as']}\n" in done.stderr
    assert fake.requests[2].prompt.endswith(f"Question: {second['understood_as']}")


def test_a_rewrite_that_fails_costs_only_the_rewrite(shop: Path) -> None:
    def failing(request: Request) -> Reply:
        if request.prompt.startswith("Rewrite"):
            return failure(401, "no")
        return completion("Refunds are paid.")

    with FakeEndpoint(failing) as fake:
        typed = "when are refunds paid\nand parcels?\n"
        done = run_app("query", "--storage", shop, *with_endpoint(fake), typed=typed)
    assert done.exit_code == 0
    said = "the question is taken as it stands, for it could not be rewritten: "
    assert f"{said}{fake.url} answers 401: no; set RAG_APP_LLM_API_KEY" in done.stdout
    assert done.stdout.count("Refunds are paid. [") == 2
    assert fake.requests[-1].prompt.endswith("Question: and parcels?")


def test_one_question_has_no_memory(shop: Path) -> None:
    done = run_app("query", "-q", "and parcels?", "--storage", shop, "--llm", "none")
    assert "understood as" not in done.stdout


def judging(request: Request) -> Reply:
    if "either YES or NO" in request.prompt:
        return completion("YES")
    if "Either YES/ NO" in request.prompt:
        return completion("NO")
    return completion("Refunds are paid.")


def test_an_answer_is_judged(shop: Path) -> None:
    with FakeEndpoint(judging) as fake:
        arguments = (
            "query",
            "-q",
            "refunds?",
            "--judge",
            "--storage",
            str(shop),
            *with_endpoint(fake),
        )
        done = run_app(*arguments)
        values = run_json(*arguments)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "judged by gemma: faithful to the passages: yes; in line with the question: no; "
        "supported: 100% of the sentences"
    )
    assert values["judgement"] == {
        "model": "gemma",
        "faithful": True,
        "relevant": False,
        "said": {"faithful": "YES", "relevant": "NO"},
        "support_ratio": 1.0,
    }


def test_without_a_language_model_nobody_judges(shop: Path) -> None:
    check_error(
        "query",
        "-q",
        "refunds?",
        "--judge",
        "--llm",
        "none",
        "--storage",
        shop,
        kind="ConfigError",
        says="there is no language model, and judging takes one that follows instructions",
    )


def test_why_before_a_question(shop: Path) -> None:
    done = run_app("query", "--storage", shop, "--llm", "none", typed="/why\n")
    assert done.stdout == "nothing was asked yet\n"


@pytest.mark.parametrize("typed", ["/[/b]\n", "what is [/b]\n/why\n"])
def test_brackets_are_no_markup(shop: Path, typed: str) -> None:
    done = run_app("query", "--storage", shop, "--llm", "none", typed=typed)
    assert done.exit_code == 0, done.exception
    assert "[/b]" in done.output


def read_until(terminal: int, *texts: str, seconds: float = 120) -> str:
    """What a terminal shows until these texts are among it, one after the other."""
    seen = ""
    end = time.monotonic() + seconds
    awaited = re.compile(".*".join(map(re.escape, texts)), re.DOTALL)
    while not awaited.search(seen):
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 4096).decode("utf-8", "replace")
    return seen


@pytest.mark.slow
def test_a_terminal_shows_an_answer_as_it_is_written(shop: Path) -> None:
    said = pieces("Refunds ", "a\x1bre ", "paid.")
    terminal, child = pty.openpty()
    with FakeEndpoint(lambda _: said) as fake:
        command = [sys.executable, "-m", "rag_app.query", "--storage", str(shop)]
        command += ["-q", "when are refunds paid", *with_endpoint(fake)]
        environment = {**os.environ, "TERM": "xterm"}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=child, stdout=child, stderr=child
        ) as asked:
            os.close(child)
            try:
                seen = read_until(terminal, "characters")
                assert asked.wait(60) == 0
            finally:
                asked.kill()
        os.close(terminal)
    assert fake.requests[0].body["stream"] is True
    dim, erase = "\x1b[2m", "\x1b[2K"
    assert f"{dim}Refunds" in seen
    assert f"{dim}Refunds are paid." in seen
    # What was written is gone before the checked answer takes its place.
    assert seen.rindex(erase) < seen.index("Refunds are paid. [")


@pytest.mark.slow
def test_ctrl_c_stops_an_answer_and_not_the_conversation(shop: Path) -> None:
    asked = threading.Event()

    def never(_: Request) -> Reply:
        asked.set()
        fake.ended.wait(60)
        return completion("too late")

    terminal, child = pty.openpty()
    environment = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm"}
    with FakeEndpoint(never) as fake:
        command = [sys.executable, "-m", "rag_app.query", "--storage", str(shop)]
        with subprocess.Popen(
            [*command, *with_endpoint(fake)],
            cwd=ROOT,
            env=environment,
            stdin=child,
            stdout=child,
            stderr=child,
            # Who runs the tests in the background makes them deaf to it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as repl:
            os.close(child)
            try:
                read_until(terminal, "ask>")
                os.write(terminal, b"when are refunds paid\r")
                assert asked.wait(60)
                repl.send_signal(signal.SIGINT)
                read_until(terminal, "stopped; the question is forgotten", "ask>")
                os.write(terminal, b"\x04")
                assert repl.wait(60) == 0
            finally:
                repl.kill()
    os.close(terminal)


@pytest.mark.slow
def test_ctrl_c_clears_the_line_and_ctrl_d_leaves(shop: Path) -> None:
    terminal, child = pty.openpty()
    environment = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm"}
    command = [sys.executable, "-m", "rag_app.query", "--storage", str(shop), "--llm", "none"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=child, stdout=child, stderr=child
    ) as repl:
        os.close(child)
        try:
            read_until(terminal, "ask>")
            os.write(terminal, b"half a question\x03")
            read_until(terminal, "ask>")
            os.write(terminal, b"/k 3\r")
            read_until(terminal, "3 passages from now on", "ask>")
            os.write(terminal, b"\x04")
            assert repl.wait(60) == 0
        finally:
            repl.kill()
    os.close(terminal)
    assert (shop / "history").read_text("utf-8").count("/k 3") == 1
