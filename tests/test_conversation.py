"""Follow-up questions are understood from what was asked before."""

import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion

from rag_app.answer.conversation import (
    LONGEST_REWRITE,
    Turn,
    is_follow_up,
    rewrite_prompt,
    standalone,
    with_last_question,
)
from rag_app.errors import LanguageModelError
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint

TURNS = [Turn("When are refunds paid?", "Within five working days. [1]")]


def rewritten(raw: str, question: str = "and for business customers?") -> str:
    """The question as a model rewrites it that follows instructions and writes this."""
    with FakeEndpoint(lambda _: completion(raw)) as fake:
        return asked(fake, question)


def asked(fake: FakeEndpoint, question: str) -> str:
    with ChatModel(Endpoint(base_url=fake.url, model="gemma", retries=0)) as llm:
        return standalone(question, TURNS, llm)


@pytest.mark.parametrize(
    "question",
    [
        "and for business customers?",
        "And if I am late?",
        "what about opened boxes",
        "How about Sunday?",
        "what if it has been shipped already",
        "how long is it valid?",
        "do they need a stamp",
        "for how long?",
        "in Switzerland?",
        "why not?",
        "how much",
        "그럼 기업 고객은요?",
        "그러면 카드로 결제했으면요?",
        "그건 얼마나 자주 해야 해요?",
        "제주도는요?",
        "이미 발송됐으면요?",
        "얼마 동안요?",
    ],
)
def test_plain_follow_ups(question: str) -> None:
    assert is_follow_up(question)


@pytest.mark.parametrize(
    "question",
    [
        "When are refunds paid?",
        "opening hours",
        "how long does it take to get a refund",
        "is it possible to pay by invoice",
        "and so I wonder whether the parcel which I sent back last week has arrived",
        "where do I find the box that came with the camera",
        "환불은 언제 되나요?",
        "제품을 반품할 수 있는 기간은 얼마인가요?",
        "배송비",
        "?",
    ],
)
def test_questions_that_stand_alone(question: str) -> None:
    assert not is_follow_up(question)


def test_without_a_model_a_follow_up_is_joined_to_the_last_question() -> None:
    both = "When are refunds paid? and for business customers?"
    assert standalone("and for business customers?", TURNS, None) == both
    assert standalone("what are the opening hours?", TURNS, None) == "what are the opening hours?"
    assert standalone("and for business customers?", [], None) == "and for business customers?"


def test_a_base_model_is_not_asked() -> None:
    with (
        FakeEndpoint() as fake,
        ChatModel(Endpoint(base_url=fake.url, model="g"), follows_instructions=False) as llm,
    ):
        both = standalone("and in Switzerland?", TURNS, llm)
    assert both == "When are refunds paid? and in Switzerland?"
    assert fake.requests == []


def test_a_chain_does_not_grow_without_end() -> None:
    long = [Turn("x" * LONGEST_REWRITE, "")]
    assert with_last_question("and then?", long) == "and then?"


@pytest.mark.parametrize(
    "raw",
    [
        "When are refunds paid for business customers?",
        'Rewritten question: "When are refunds paid for business customers?"\n\nHope it helps.',
    ],
)
def test_a_model_rewrites_the_question(raw: str) -> None:
    assert rewritten(raw) == "When are refunds paid for business customers?"


def test_a_question_that_stands_alone_may_stay_as_it_is() -> None:
    question = "what are the opening hours?"
    assert rewritten(question, question) == question


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "I am a helpful assistant who likes penguins.",  # 0 of 8 words
        "When are refunds paid within 14 days?",  # 14 was never spoken of
        "When are refunds paid? " * 40,
    ],
)
def test_a_rewrite_that_comes_from_elsewhere_is_not_taken(raw: str) -> None:
    assert rewritten(raw) == "When are refunds paid? and for business customers?"
    assert rewritten(raw, "opening hours") == "opening hours"


def test_the_conversation_is_data() -> None:
    def reply(_: Request) -> Reply:
        return completion("and for business customers?")

    with FakeEndpoint(reply) as fake:
        asked(fake, "and for business customers?")
    prompt = fake.requests[0].prompt
    assert prompt == rewrite_prompt("and for business customers?", TURNS)
    line = next(line for line in prompt.splitlines() if line.startswith("-----"))
    _, told, last = prompt.split(f"\n{line}\n")
    assert told == "Question: When are refunds paid?\nAnswer: Within five working days. [1]"
    assert last == "Last question: and for business customers?"
    assert fake.requests[0].body["temperature"] == 0.0


def test_a_model_that_is_not_there() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:1/v1", model="gemma", retries=0)
    with ChatModel(endpoint) as llm, pytest.raises(LanguageModelError, match="nothing answers"):
        standalone("and for business customers?", TURNS, llm)
