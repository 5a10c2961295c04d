"""Known questions on the command line: shown with their hits, judged as they are labelled."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app

ROWS = [("When are you open?", "From nine to six."), ("Can I pay by card?", "Yes, by any card.")]

pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    make_tiny_model(folder / "storage" / "models" / "tiny")
    lines = ["question,answer", *(f'{question},"{answer}"' for question, answer in ROWS)]
    (folder / "faq.csv").write_text("\n".join(lines), "utf-8")
    done = run_app(folder, "ingest", folder / "faq.csv", "--model", "tiny")
    assert done.exit_code == 0, done.stderr
    assert "2 chunks, 2 known questions, tiny" in done.stdout
    return folder


def run_app(folder: Path, *arguments: str | Path) -> Result:
    every = [*arguments, "--storage", folder / "storage"]
    return CliRunner().invoke(build_app(), [str(one) for one in every])


def as_json(folder: Path, *arguments: str | Path) -> Any:
    done = run_app(folder, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_hit_shows_its_question_and_row(folder: Path) -> None:
    asked = ("query", "-q", "can i pay by card", "--llm", "none")
    done = run_app(folder, *asked, "--explain")
    assert 'question: "Can I pay by card?"  (row 3)' in done.stdout
    assert 'asked before: "Can I pay by card?" (row 3)' in " ".join(done.stdout.split())
    first, second = as_json(folder, *asked)["citations"]
    assert (first["text"], first["score"]) == ("Yes, by any card.", 1.0)
    assert first["question"]["text"] == "Can I pay by card?"
    assert (first["question"]["row"], second["question"]["row"]) == (3, 2)
    left_out = as_json(folder, *asked, "--retriever", "vector")["citations"]
    assert [one["question"] for one in left_out] == [None, None]


def test_evaluate_says_how_known_questions_were_asked(folder: Path) -> None:
    asked = ("evaluate", folder / "faq.csv", "--retriever", "exact")
    both = (*asked, "--retriever", "exact+questions")
    plain, held_out = as_json(folder, *both)["runs"]
    assert (plain["known_questions"], plain["known_asked"]) == (None, None)
    assert (held_out["known_questions"], held_out["known_asked"]) == ("held out", 2)
    assert held_out["mrr@10"] == plain["mrr@10"]
    _, verbatim = as_json(folder, *both, "--verbatim")["runs"]
    assert verbatim["known_questions"] == "verbatim"
    assert verbatim["hit_rate@1"]["mean"] == 1.0
    said = " ".join(run_app(folder, *both).stdout.split())
    assert "held out; 2 of 2 questions are known to the index, each left out while it is" in said
    said = " ".join(run_app(folder, *both, "--verbatim").stdout.split())
    assert "verbatim; 2 of 2 questions are known to the index and find themselves" in said


def test_the_index_s_own_search_holds_out_too(folder: Path) -> None:
    runs = as_json(
        folder, "evaluate", folder / "faq.csv", "--retriever", "vector", "--retriever",
        "vector+questions",
    )["runs"]  # fmt: skip
    assert runs[0]["mrr@10"] == runs[1]["mrr@10"]
