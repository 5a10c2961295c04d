"""Questions that a language model rewrites: what is asked and kept, and what if it dies."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure
from fakes import ScriptedChat, WordModel
from llama_index.core.schema import NodeWithScore, TextNode

from rag_app.index import VectorCache
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint
from rag_app.retrieve.exact import embed_questions
from rag_app.retrieve.rewrite import MAX_TOKENS, Rewriter, Rewritten, read_list
from rag_app.retrieve.rewrite_prompts import KINDS, prompt_for
from rag_app.retrieve.rewriting import RewritingRetriever
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed
from rag_app.vectors import Vectors

QUESTION = "how late is the shop open"
OTHERS = ["When does the shop close?", "Opening hours"]
DIED = "http://x/v1 did not answer within 120 s; wait longer"


# What an answer holds


@pytest.mark.parametrize(
    ("answer", "questions"),
    [
        ("When does it close?\nOpening hours", ["When does it close?", "Opening hours"]),
        ("Here are 3 queries:\n\n1. one\n2. two\n3. three", ["one", "two", "three"]),
        ("1) one\n2) two", ["one", "two"]),
        ("1: one\n 12. two", ["one", "two"]),
        ("- one\n• two\n*three", ["one", "two", "three"]),
        ("1.영업시간 안내\n2.몇 시에 닫나요?", ["영업시간 안내", "몇 시에 닫나요?"]),
        ("\"one\"\n'two'\n“three”", ["one", "two", "three"]),
        ("1. \"one?\"\n2. “two?”\n- 'three'", ["one?", "two?", "three"]),
        # What a model goes on with after the "1." of the prompt.
        (" one\n2. two\n3. three", ["one", "two", "three"]),
        ("one\nOne\n1. ONE\ntwo", ["one", "two"]),
        ("  spaces   inside\tthem  ", ["spaces inside them"]),
        ("HOW late is  the shop open\nother", ["other"]),
        (QUESTION, []),
        ("one\ntwo\nthree\nfour\nfive", ["one", "two", "three"]),
        # A number of the question is no number of the list.
        ("2.4 GHz or 5 GHz?\n12:30 deliveries\n10 days", None),
        ("1. 2.4 GHz?", ["2.4 GHz?"]),
        ("x" * 301 + "\n" + "y" * 300, ["y" * 300]),
        ("", []),
        ('\n \n1.\n-\n""', []),
        ("Sure, here they are:", []),
        ("다르게 물어본 질문：\n영업시간 안내", ["영업시간 안내"]),
    ],
)
def test_the_questions_of_an_answer(answer: str, questions: list[str] | None) -> None:
    expected = answer.splitlines() if questions is None else questions
    assert read_list(answer, QUESTION, 3) == expected


def test_the_question_itself_takes_no_place() -> None:
    assert read_list(f"{QUESTION}\none\ntwo", QUESTION, 2) == ["one", "two"]


# What is asked


def test_prompts_are_told_the_question_and_the_number() -> None:
    for kind in KINDS:
        told = prompt_for(kind, "a {b} c?", 4, "en", instructed=True)
        assert told.endswith("\n\nQuestion: a {b} c?")
        assert ("4" in told) == (kind != "hyde")
        shown = prompt_for(kind, "a {b} c?", 4, "en", instructed=False)
        assert "Question: a {b} c?\n" in shown


def test_examples_are_in_the_language_of_the_question() -> None:
    for kind in KINDS:
        korean = prompt_for(kind, "몇 시에 닫나요", 3, "ko", instructed=False)
        assert "질문: 몇 시에 닫나요\n" in korean
        assert "Question:" not in korean
        # There are no others; English ones are as good for any other language.
        assert prompt_for(kind, "¿?", 3, "es", instructed=False).count("Question: ") == 3


def rewriter(
    folder: Path, chat: ScriptedChat, *, kind: str = "multi_query", count: int = 3
) -> Rewriter:
    return Rewriter(kind, chat, count=count, folder=folder)


def answering(**options: Any) -> ScriptedChat:
    return ScriptedChat({QUESTION: "1. {}\n2. {}".format(*OTHERS), "몇 시?": "영업시간"}, **options)


def test_a_model_that_only_continues_is_stopped_after_its_list(tmp_path: Path) -> None:
    base, instructed = answering(follows_instructions=False), answering()
    assert rewriter(tmp_path / "a", base).rewrite([QUESTION, "몇 시?"]) == [
        Rewritten(OTHERS, asked=True),
        Rewritten(["영업시간"], asked=True),
    ]
    assert base.stops == [("\n\n",)] * 2
    assert base.prompts[0].endswith(f"Question: {QUESTION}\nAsked differently:\n1.")
    assert base.prompts[1].endswith("질문: 몇 시?\n다르게 묻기:\n1.")
    rewriter(tmp_path / "b", instructed).rewrite([QUESTION])
    assert instructed.stops == [()]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_thinks_is_no_question(tmp_path: Path, kind: str) -> None:
    chat = ScriptedChat({QUESTION: "<think>\nIt is about a shop.\n</think>\nOpening hours"})
    [found] = rewriter(tmp_path, chat, kind=kind).rewrite([QUESTION])
    assert found.texts == ["Opening hours"]


# What is kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_is_asked_once(tmp_path: Path, kind: str) -> None:
    chat = answering()
    texts = ["1. {} 2. {}".format(*OTHERS)] if kind == "hyde" else OTHERS
    first = rewriter(tmp_path, chat, kind=kind)
    assert first.rewrite([QUESTION]) == [Rewritten(texts, asked=True)]
    assert first.rewrite([QUESTION]) == [Rewritten(texts, asked=False)]
    assert rewriter(tmp_path, chat, kind=kind).rewrite([QUESTION]) == [Rewritten(texts)]
    assert len(chat.prompts) == 1
    # Twice in one go is once, too.
    assert rewriter(tmp_path, chat, kind=kind).rewrite([QUESTION] * 3) == [Rewritten(texts)] * 3
    assert rewriter(tmp_path / "new", chat, kind=kind).rewrite([QUESTION] * 3) == (
        [Rewritten(texts, asked=True)] * 3
    )
    assert len(chat.prompts) == 2


def test_another_kind_model_or_number_is_asked_for_itself(tmp_path: Path) -> None:
    chat, other = answering(), answering(name="other")
    rewriter(tmp_path, chat).rewrite([QUESTION])
    for changed in (
        rewriter(tmp_path, chat, kind="hyde"),
        rewriter(tmp_path, chat, count=2),
        rewriter(tmp_path, other),
    ):
        assert changed.rewrite([QUESTION])[0].asked
    assert (len(chat.prompts), len(other.prompts)) == (3, 1)


def test_no_more_than_were_wanted(tmp_path: Path) -> None:
    [one] = rewriter(tmp_path, answering(), count=1).rewrite([QUESTION])
    assert one.texts == OTHERS[:1]


def test_the_cache_can_be_deleted(tmp_path: Path) -> None:
    chat = answering()
    rewriter(tmp_path / "cache", chat).rewrite([QUESTION])
    (tmp_path / "cache" / "rewrites.sqlite").unlink()
    assert rewriter(tmp_path / "cache", chat).rewrite([QUESTION])[0].texts == OTHERS
    assert len(chat.prompts) == 2


def test_an_answer_that_says_nothing_leaves_the_question_alone(tmp_path: Path) -> None:
    for kind in KINDS:
        chat = ScriptedChat({QUESTION: " \n\n"})
        assert rewriter(tmp_path, chat, kind=kind).rewrite([QUESTION]) == [
            Rewritten([], asked=True)
        ]


# A model that dies


def test_what_was_answered_before_is_kept(tmp_path: Path) -> None:
    chat = ScriptedChat({"one": "first", "two": "second"})
    found = rewriter(tmp_path, chat).rewrite(["one", "two", "three", "four"])
    assert found == [
        Rewritten(["first"], asked=True),
        Rewritten(["second"], asked=True),
        Rewritten([], asked=True, failure=DIED),
        Rewritten([], asked=True, failure=DIED),
    ]
    # It never got to "four", and is not asked for the first two again.
    assert len(chat.prompts) == 3
    chat.answers = {"three": "third", "four": "fourth"}
    again = rewriter(tmp_path, chat).rewrite(["one", "two", "three", "four"])
    assert [each.texts for each in again] == [["first"], ["second"], ["third"], ["fourth"]]
    assert [each.asked for each in again] == [False, False, True, True]
    assert len(chat.prompts) == 5


def kept(folder: Path) -> int:
    with sqlite3.connect(folder / "rewrites.sqlite") as connection:
        [count] = connection.execute("SELECT COUNT(*) FROM rewrites").fetchone()
    connection.close()
    return int(count)


def test_a_real_endpoint_that_dies_in_the_middle(tmp_path: Path) -> None:
    def third_fails(request: Request) -> Reply:
        if request.prompt.endswith("three"):
            return failure(500, "out of memory")
        return completion(f"1. other than {request.prompt.split()[-1]}")

    fake = FakeEndpoint(third_fails)
    with fake, ChatModel(Endpoint(fake.url, "gemma", retries=0), concurrency=1) as llm:
        asked = Rewriter("multi_query", llm, count=3, folder=tmp_path)
        found = asked.rewrite(["one", "two", "three"])
    assert [each.texts for each in found] == [["other than one"], ["other than two"], []]
    assert "out of memory" in found[2].failure
    assert kept(tmp_path) == 2
    assert {request.body["max_tokens"] for request in fake.requests} == {MAX_TOKENS}


# The retriever


class Table(TracedRetriever):
    """Finds what a table says, and notes what it was asked."""

    def __init__(self, found: dict[str, dict[str, float]]) -> None:
        self.found = found
        self.asked: list[tuple[str, bool]] = []
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        self.asked += [(trace.question, trace.as_passage) for trace in traces]
        with timed(traces, "table") as rankings:
            rankings += [
                [
                    NodeWithScore(node=TextNode(id_=name, text=name), score=score)
                    for name, score in self.found.get(trace.question, {}).items()
                ]
                for trace in traces
            ]
        return rankings


FOUND = {
    QUESTION: {"a": 3.0, "b": 1.0},
    OTHERS[0]: {"c": 3.0, "b": 1.0},
    OTHERS[1]: {"c": 3.0, "d": 1.0},
}


def ask(
    kind: str, chat: ScriptedChat, folder: Path, *questions: str, depth: int = 2
) -> tuple[Table, list[Trace], list[dict[str, float]]]:
    """What was asked, the traces, and per question ids with scores, best first."""
    table = Table(FOUND)
    retriever = RewritingRetriever(table, rewriter(folder, chat, kind=kind), depth=depth)
    traces = [Trace(question) for question in questions or (QUESTION,)]
    found = retriever.rank(traces)
    return table, traces, [{hit.node.node_id: hit.score for hit in hits} for hits in found]


def test_the_question_has_half_of_the_weight(tmp_path: Path) -> None:
    table, [trace], [found] = ask("multi_query", answering(), tmp_path)
    assert table.asked == [(text, False) for text in (QUESTION, *OTHERS)]
    # Of a, b, c, d each list has one at 3 and, with what it lacks, three at 1: the mean is 3/2,
    # the deviation sqrt(3) / 2, and they are at sqrt(3) and -1 / sqrt(3).
    high, low = 3**0.5, -(3**-0.5)
    assert list(found) == ["a", "c", "b", "d"]
    assert found == pytest.approx(
        {
            "a": high / 2 + low / 4 + low / 4,
            "c": low / 2 + high / 4 + high / 4,
            "b": low,
            "d": low,
        }
    )
    assert (trace.rewrites, trace.model_calls, trace.warnings) == (OTHERS, 1, [])
    assert [(step.name, step.note) for step in trace.steps] == [
        ("multi_query", ""),
        ("table", ""),
        ("table", f"multi_query: {OTHERS[0]}"),
        ("table", f"multi_query: {OTHERS[1]}"),
        ("fusion", ""),
    ]
    assert [step.rank("c") for step in trace.steps] == [None, None, 1, 1, 2]
    assert all(step.seconds >= 0 for step in trace.steps)


def test_one_rewrite_has_the_other_half(tmp_path: Path) -> None:
    _, _, [found] = ask("multi_query", ScriptedChat({QUESTION: OTHERS[0]}), tmp_path)
    # a, b, c: 3, 1, 1 and 1, 1, 3 cancel out but for b; the question's own comes first.
    assert list(found) == ["a", "c", "b"]
    assert found["a"] == pytest.approx(found["c"])


def test_a_hypothetical_passage_is_embedded_as_one(tmp_path: Path) -> None:
    chat = ScriptedChat({QUESTION: "The shop\nis open  until nine."})
    table, [trace], _ = ask("hyde", chat, tmp_path)
    assert table.asked == [(QUESTION, False), ("The shop is open until nine.", True)]
    assert trace.rewrites == ["The shop is open until nine."]


class TwoSided(WordModel):
    """Has another vector for a text as a question than as a passage."""

    def embed_queries(self, texts: Sequence[str], **_: Any) -> Vectors:
        return -self.embed_passages(texts)


@pytest.mark.parametrize("cached", [False, True])
def test_questions_and_passages_are_told_apart(tmp_path: Path, cached: bool) -> None:
    model = TwoSided()
    cache = VectorCache(tmp_path) if cached else None
    traces = [Trace("one"), Trace("two", as_passage=True), Trace("three"), Trace("one", True)]
    vectors = embed_questions(traces, model, cache)
    plain = WordModel().embed_passages([trace.question for trace in traces])
    assert vectors == pytest.approx(plain * [[-1], [1], [-1], [1]])


def test_a_dead_model_leaves_the_plain_question_and_a_warning(tmp_path: Path) -> None:
    for kind in KINDS:
        table, [trace], [found] = ask(kind, ScriptedChat({}), tmp_path)
        assert table.asked == [(QUESTION, False)]
        assert found == FOUND[QUESTION]
        assert (trace.rewrites, trace.model_calls) == ([], 1)
        assert trace.warnings == [
            f"the question was asked as it stands: the language model did not rewrite it ({DIED})"
        ]
        assert [step.name for step in trace.steps] == [kind, "table", "fusion"]


def test_one_question_of_several_is_not_rewritten(tmp_path: Path) -> None:
    table, traces, found = ask("multi_query", answering(), tmp_path, QUESTION, OTHERS[0])
    assert [text for text, _ in table.asked] == [QUESTION, OTHERS[0], *OTHERS]
    assert list(found[0]) == ["a", "c", "b", "d"]
    assert found[1] == FOUND[OTHERS[0]]
    assert [len(trace.warnings) for trace in traces] == [0, 1]
    # From the cache nothing is asked; what failed is asked again.
    _, traces, _ = ask("multi_query", answering(), tmp_path, QUESTION, OTHERS[0])
    assert [trace.model_calls for trace in traces] == [0, 1]


def test_no_questions(tmp_path: Path) -> None:
    chat = answering()
    table = Table(FOUND)
    retriever = RewritingRetriever(table, rewriter(tmp_path, chat), depth=2)
    assert retriever.rank([]) == []
    assert chat.prompts == []
