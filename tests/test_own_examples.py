"""The user's own questions as examples for the one who writes more of them."""

import json
from pathlib import Path

import pytest
from conftest import ROOT
from fake_endpoint import FakeEndpoint, completion
from test_questions import FREIGHT, KOREAN_TEXT, REFUND, Parrot, make_node
from tiny import make_tiny_model
from typer.testing import CliRunner

from rag_app.cli.app import build_app
from rag_app.errors import PairsError
from rag_app.pairs import read_questions
from rag_app.questions.examples import ENGLISH, KOREAN, Example
from rag_app.questions.own_examples import LETTERS, MOST, Examples, read_examples
from rag_app.questions.prompts import PROMPT_VERSION, PromptWriter
from rag_app.questions.rarity import Rarity
from rag_app.questions.styles import QUESTION
from rag_app.questions.writers import ModelWriter

RARITY = Rarity([REFUND, FREIGHT])


def write(folder: Path, *rows: tuple[str, str]) -> Path:
    lines = [json.dumps({"question": q, "answer": a}, ensure_ascii=False) for q, a in rows]
    path = folder / "mine.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


def examples_in(path: Path, rarity: Rarity) -> Examples:
    return read_examples(read_questions(path), rarity)


def test_the_topic_is_what_question_and_answer_share(tmp_path: Path) -> None:
    path = write(tmp_path, ("pls when will refunds be\nin my account", REFUND))
    assert examples_in(path, RARITY) == {
        "en": (Example(REFUND, "Refunds, account", "pls when will refunds be in my account", ()),)
    }


def test_of_a_long_answer_the_sentence_that_answers_is_shown(tmp_path: Path) -> None:
    long = " ".join(f"Sentence number {i} is about nothing at all." for i in range(40))
    path = write(tmp_path, ("do zebras bite people", f"{long} Zebras bite strangers. {long}"))
    [[example]] = examples_in(path, Rarity([long])).values()
    assert "Zebras bite strangers." in example.passage
    assert len(example.passage) <= LETTERS


def test_the_first_of_each_language(tmp_path: Path) -> None:
    english = [(f"question number {i} about the freight", FREIGHT) for i in range(MOST + 3)]
    path = write(tmp_path, *english, ("환불 언제 들어와요", KOREAN_TEXT))
    found = examples_in(path, RARITY)
    assert [example.question for example in found["en"]] == [q for q, _ in english[:MOST]]
    assert [example.question for example in found["ko"]] == ["환불 언제 들어와요"]


def test_they_stand_in_the_place_of_ours_where_there_are_some(tmp_path: Path) -> None:
    own = examples_in(write(tmp_path, ("lorries, when", FREIGHT)), RARITY)
    writer = PromptWriter(RARITY, follows_instructions=False, examples=own)
    [english] = writer.prompts(make_node(REFUND), [0], [QUESTION])
    assert english.startswith(f"Passage: {FREIGHT}\nTopic: ")
    assert "\nCustomer question: lorries, when\n\nPassage: " in english
    assert not any(example.question in english for example in ENGLISH)
    [korean] = writer.prompts(make_node(KOREAN_TEXT), [0], [QUESTION])
    assert all(example.question in korean for example in KOREAN)


def test_other_examples_are_another_version_of_the_prompt(tmp_path: Path) -> None:
    one, other = (
        examples_in(write(tmp_path, (question, FREIGHT)), RARITY)
        for question in ("lorries, when", "when do lorries come")
    )
    versions = [
        ModelWriter(Parrot(), RARITY, examples=examples).prompt_version
        for examples in (None, one, one, other)
    ]
    assert versions[0] == PROMPT_VERSION
    assert versions[1] == versions[2] != versions[3]
    assert versions[1].startswith(f"{PROMPT_VERSION}-")


def test_evidence_is_an_answer_and_a_document_alone_is_none(tmp_path: Path) -> None:
    assert len(examples_in(ROOT / "data/en/questions.jsonl", RARITY)["en"]) == MOST
    path = tmp_path / "bare.jsonl"
    path.write_text(json.dumps({"question": "what now", "document": "a.md"}), "utf-8")
    with pytest.raises(PairsError, match="none of the examples has the text"):
        examples_in(path, RARITY)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_tiny_model(Path("tiny"), words=REFUND.split())
    Path("docs").mkdir()
    Path("docs/refunds.md").write_text(REFUND, "utf-8")
    mine = write(tmp_path, ("lorries, when", FREIGHT))

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(build_app(), [*arguments, "--quiet"])
        return done.exit_code, done.stderr

    assert (
        run("ingest", "docs", "--model", "tiny", "--chunk-size", "48", "--chunk-overlap", "8")[0]
        == 0
    )
    own = ("questions", "--examples", str(mine), "--per-chunk", "1")
    code, said = run(*own, "--llm", "none")
    assert code == 2
    assert "examples are shown to a language model, and there is none" in said
    assert run("questions", "--examples", "gone.csv")[0] == 2

    with FakeEndpoint(lambda _: completion("when do refunds reach my account")) as endpoint:
        there = ("--llm-base-url", endpoint.url, "--llm-model", "gemma")
        assert run(*own, *there) == (0, "")
        assert run(*own, *there) == (0, "")
    # Once, and not again.
    assert len([one for one in endpoint.requests if "lorries, when" in one.prompt]) == 1
