"""Judgements of passages, kept as labelled pairs; and answers that are checked while written."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rag_app.answer.citations import check_citations
from rag_app.answer.stream import CheckedStream
from rag_app.pairs import read_questions
from rag_app.pairs.feedback import Feedback, Verdict, keep_feedback, pairs_file, read_feedback

PASSAGES = ["Refunds take five days.\nThe bank may take longer.", "We open at nine."]


def said(question: str, verdict: Verdict = "good", *, start: int = 0) -> Feedback:
    text = "From nine to six."
    return Feedback(question, "hours.md", start, start + len(text), text, verdict)


def test_the_last_judgement_counts(tmp_path: Path) -> None:
    assert keep_feedback(tmp_path, said("when do you open")) == 1
    assert keep_feedback(tmp_path, said("When do you open?", "right")) == 1
    assert keep_feedback(tmp_path, said("when do you open", start=40)) == 2
    assert keep_feedback(tmp_path, said("and on sundays", "bad")) == 2
    assert keep_feedback(tmp_path, said("when do you open", "bad")) == 1
    [left] = read_questions(pairs_file(tmp_path))
    assert (left.question, left.document, left.start, left.end) == (
        "when do you open",
        "hours.md",
        40,
        57,
    )
    assert left.evidence == "From nine to six."
    assert len(read_feedback(tmp_path)) == 5


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    keep_feedback(tmp_path, said("when do you open"))
    with (tmp_path / "feedback" / "feedback.jsonl").open("a") as file:
        file.write('{"question": "half')
    assert keep_feedback(tmp_path, said("and on sundays")) == 2
    assert keep_feedback(tmp_path, said("and on mondays")) == 3


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: keep_feedback(tmp_path, said(f"question {n}")), range(40)))
    assert len(pairs_file(tmp_path).read_text("utf-8").splitlines()) == 40


def test_line_separators_in_a_passage_break_no_line(tmp_path: Path) -> None:
    odd = Feedback("what", "a.md", 0, 5, "a\u2028b\x85c", "good")
    assert keep_feedback(tmp_path, odd) == 1
    assert keep_feedback(tmp_path, said("when do you open")) == 2
    first = json.loads(pairs_file(tmp_path).read_text("utf-8").split("\n")[0])
    assert first["evidence"] == "a\u2028b\x85c"


@pytest.mark.parametrize(
    "answer",
    [
        "Refunds take five days [1]. The bank may take longer. [1] We open at nine [2].",
        "Refunds take five days. [1][2] We open at nine [7].",
        "Refunds take five days. [1, 2] Bob knows whales.",
        "One sentence without an end",
        "Refunds take 5.5 days. Refunds take five days! [1] Yes.",
        "환불은 5일 걸립니다. [1] 은행은 더 걸립니다.",
        "- Refunds take five days [1]\n- We open at nine [2]\n",
        "",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_gives_what_the_whole_check_gives(answer: str, size: int) -> None:
    stream = CheckedStream(PASSAGES)
    pieces = [stream.feed(answer[at : at + size]) for at in range(0, len(answer), size)]
    whole = check_citations(answer.strip(), PASSAGES).text
    assert "".join(pieces) + stream.rest(whole) == whole


def test_what_came_out_otherwise_is_given_whole() -> None:
    stream = CheckedStream(PASSAGES)
    given = stream.feed("Refunds take five days. NOT IN")
    assert given == "Refunds take five days. [1]"
    assert stream.rest("The documents do not say.") == "\n\nThe documents do not say."
