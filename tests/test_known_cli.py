"""Known questions on the command line: shown with their hits, judged as they are labelled."""

import json
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore
from test_links import Screen
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app import open_index
from rag_app.answer.answer import Answer, Citation
from rag_app.answer.evidence import Sentences
from rag_app.cli.answers import Shown, show_answer
from rag_app.cli.app import build_app
from rag_app.evaluate.stored import read_run
from rag_app.index.known import add_known
from rag_app.known import KnownQuestion
from rag_app.query.transcript import Exchange, as_markdown
from rag_app.retrieve.known import with_own_questions
from rag_app.serve.service import passages_as_text

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
    assert "[1] 1.000  Can I pay by card? (row 3)  (" in done.stdout
    assert 'question: "' not in done.stdout
    assert 'asked before: "Can I pay by card?" (row 3)' in " ".join(done.stdout.split())
    first, second = as_json(folder, *asked)["citations"]
    assert (first["text"], first["score"]) == ("Yes, by any card.", 1.0)
    assert first["question"]["text"] == "Can I pay by card?"
    assert (first["question"]["row"], second["question"]["row"]) == (3, 2)
    assert (first["name"], second["name"]) == (
        "Can I pay by card? (row 3)",
        "When are you open? (row 2)",
    )


def test_a_row_is_called_by_its_question_whatever_finds_it(folder: Path) -> None:
    asked = ("query", "-q", "yes by any card", "--llm", "none", "--k", "1")
    for retriever in ("vector", "keyword"):
        done = run_app(folder, *asked, "--retriever", retriever)
        assert "Can I pay by card? (row 3)  (" in done.stdout
        [one] = as_json(folder, *asked, "--retriever", retriever)["citations"]
        assert one["name"] == "Can I pay by card? (row 3)"
        assert one["question"]["row"] == 3


def test_a_row_keeps_its_name_beside_what_was_labelled(folder: Path) -> None:
    opened = open_index(storage=folder / "storage")
    index = opened._opened.index
    [card] = [one for one in index.ordered_nodes() if one.text == "Yes, by any card."]
    document = str(card.ref_doc_id)
    assert add_known(index, [KnownQuestion("do you take cards", document, origin="human")]) == 1
    [hit] = with_own_questions(index, [NodeWithScore(node=card, score=0.5)])
    assert hit.node.metadata["known_question"]["text"] == "Can I pay by card?"
    assert "known_question" not in card.metadata


def test_a_document_with_a_title_or_without_questions_stays_as_it_is(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "storage" / "models" / "tiny")
    (tmp_path / "a.md").write_text("# Hours\n\nFrom nine to six.\n", "utf-8")
    (tmp_path / "b.txt").write_text("From nine to six.\n", "utf-8")
    assert run_app(tmp_path, "ingest", tmp_path, "--model", "tiny").exit_code == 0
    found = as_json(tmp_path, "query", "-q", "nine", "--llm", "none", "--retriever", "vector")
    assert [one["question"] for one in found["citations"]] == [None, None]


def citation(*, title: str = "", origin: str = "faq") -> Citation:
    """A passage of an FAQ, or of a document that somebody labelled."""
    row, place = (12, "row 12") if origin == "faq" else (None, origin)
    question = {"text": "How long\nmay I wait?", "row": row, "sheet": "", "origin": origin}
    return Citation(
        1, "/docs/faq.csv", "faq.csv#17eff", title, "", None, 0, 9, "Two weeks", 0.5,
        question={**question, "place": place},
    )  # fmt: skip


def test_a_passage_has_one_name_everywhere() -> None:
    name = "How long may I wait? (row 12)"
    assert citation().name == citation().heading == citation().to_json()["name"] == name
    assert citation(title="FAQ").name == "FAQ"
    assert citation(origin="human").name == "faq.csv#17eff"
    assert citation(origin="human").heading == ""
    assert KnownQuestion("How long\nmay I wait?", "faq.csv", row=12).name == name
    assert KnownQuestion("How long?", "faq.csv", origin="human").name == ""
    answer = Answer("wait", None, [citation()])
    saved = as_markdown([Exchange(answer, "i", "m", "vector")])
    assert "1. **How long may I wait? (row 12)**, `/docs/faq.csv`, characters 0-9" in saved
    assert 'Question: "' not in saved
    assert passages_as_text(answer) == f"[1] {name}\nTwo weeks"


def test_on_a_small_terminal_a_row_is_called_by_its_question() -> None:
    screen = Screen(terminal=True)
    screen.out.width = 80
    found = Answer("wait", None, [citation()] * 5)
    show_answer(screen, found, Shown(evidence=[Sentences([(0, 9)], 0)] * 5, lines=10))
    shown = screen.written.getvalue().splitlines()
    assert sum("How long may I wait? (row 12)" in line for line in shown) == 5


def test_a_run_keeps_the_names_of_rows(folder: Path) -> None:
    out = folder / "kept"
    done = run_app(folder, "evaluate", folder / "faq.csv", "--retriever", "exact", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert set(read_run(out).names.values()) == {
        "When are you open? (row 2)",
        "Can I pay by card? (row 3)",
    }


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
