"""Writing with an endpoint: JSON and what is none, the judge, and what it will cost."""

import json
from collections.abc import Callable

import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure
from test_questions import (
    KOREAN_TEXT,
    NO_MODEL,
    REFUND,
    accounted,
    at_endpoint,
    make_node,
    tiny,
    workspace,
    write,
)

from rag_app.errors import ConfigError, LanguageModelError
from rag_app.index import Workspace
from rag_app.questions import WritingOptions
from rag_app.questions.cost import Cost, Price, count_tokens, read_price
from rag_app.questions.judging import JUDGE_TOKENS, judge_prompt, read_verdict
from rag_app.questions.prompts import JSON_TOKENS, read_answer

__all__ = ["tiny", "workspace"]  # fixtures

JUDGE = "stand a passage"


def topic_of(request: Request) -> str:
    return request.prompt.rsplit("Topic: ", 1)[1].split("\n")[0].replace(",", "")


def in_json(request: Request) -> Reply:
    """Questions of the topic's words; the judge finds an answer where refunds are spoken of."""
    if JUDGE in request.prompt:
        return completion(json.dumps({"answers": "Refunds" in request.prompt}))
    return completion(json.dumps({"text": f"where is {topic_of(request)} sold?"}))


def without_json_mode(status: int, said: str) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if "response_format" in request.body:
            return failure(status, said)
        return completion(f"where is {topic_of(request)} sold?")

    return answer


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ('{"text": "Can I pay later?"}', "Can I pay later?"),
        ('```json\n{"text": "돈은 언제 와요?"}\n```', "돈은 언제 와요?"),
        # Another key, another type, cut: no question.
        ('{"question": "Can I pay later?"}', ""),
        ('{"text": 7}', ""),
        ('{"text": "How long do refunds take after', ""),
        ("Can I pay {later?", "Can I pay {later?"),
    ],
)
def test_a_json_answer_is_read_and_what_is_none_is_text(answer: str, question: str) -> None:
    assert read_answer(answer) == question


def test_an_endpoint_is_asked_for_json(workspace: Workspace) -> None:
    with FakeEndpoint(in_json) as endpoint:
        report = write(workspace, at_endpoint(endpoint), per_chunk=1)
    [first, *_] = endpoint.requests
    assert first.body["response_format"] == {"type": "json_object"}
    assert first.body["max_tokens"] == JSON_TOKENS
    assert "JSON object alone" in first.prompt
    assert '{"text": "what do i need to bring' in first.prompt
    assert accounted(report) == 3
    assert all(question.question.startswith("where is ") for question in report.questions)


def test_what_a_model_thinks_is_neither_question_nor_verdict(workspace: Workspace) -> None:
    def thinking(request: Request) -> Reply:
        reply = in_json(request)
        assert isinstance(reply.body, dict)
        message = reply.body["choices"][0]["message"]
        message["content"] = '{"text": "or?", "answers": true}</think>' + message["content"]
        return reply

    with FakeEndpoint(thinking) as endpoint:
        report = write(
            workspace, at_endpoint(endpoint), per_chunk=1, writing=WritingOptions(judge=True)
        )
    assert (report.kept, report.dropped["not answered"]) == (1, 2)
    assert all(question.question.startswith("where is ") for question in report.questions)


@pytest.mark.parametrize(
    ("status", "said"),
    [(400, "response_format is not supported"), (422, "extra field: response_format")],
)
def test_an_endpoint_without_json_mode_is_asked_plainly(
    workspace: Workspace, status: int, said: str
) -> None:
    with FakeEndpoint(without_json_mode(status, said)) as endpoint:
        report = write(workspace, at_endpoint(endpoint, concurrency=1), per_chunk=1)
    # Told once, it is not tried again.
    assert sum("response_format" in one.body for one in endpoint.requests) == 1
    assert len(endpoint.requests) == 4
    assert accounted(report) == 3


def test_another_fault_is_not_taken_for_a_missing_json_mode(workspace: Workspace) -> None:
    with (
        FakeEndpoint(lambda _: failure(400, "out of order")) as endpoint,
        pytest.raises(LanguageModelError, match="out of order"),
    ):
        write(workspace, at_endpoint(endpoint), per_chunk=1)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ('{"answers": true}', True),
        ('Sure: {"answers": false}', False),
        ("Yes, it does.", True),
        ("아니요", False),
        ("예.", True),
        ('{"answers": "maybe"}', None),
        ("I cannot tell.", None),
        ("", None),
    ],
)
def test_verdicts(answer: str, verdict: bool | None) -> None:
    assert read_verdict(answer) is verdict


@pytest.mark.parametrize(("text", "told"), [(REFUND, "Does the passage"), (KOREAN_TEXT, "지문이")])
def test_the_judge_is_asked_in_the_passages_language(text: str, told: str) -> None:
    prompt = judge_prompt("when?", make_node(text))
    assert told in prompt
    assert text in prompt
    assert '{"answers": true}' in prompt


def test_what_the_judge_finds_unanswered_is_dropped_and_counted_once(workspace: Workspace) -> None:
    judging = WritingOptions(judge=True)
    with FakeEndpoint(in_json) as endpoint:
        before = write(workspace, at_endpoint(endpoint), per_chunk=1)
        sent = len(endpoint.requests)
        report = write(workspace, at_endpoint(endpoint), per_chunk=1, writing=judging)
        asked_once = len(endpoint.requests)
        again = write(workspace, at_endpoint(endpoint), per_chunk=1, writing=judging)
    # To the tiny model all are alike: what is dropped makes room for the next.
    assert before.dropped == {"repeated": 2}
    assert asked_once - sent == 3
    assert len(endpoint.requests) == asked_once
    assert (report.kept, report.dropped["not answered"]) == (1, 2)
    assert (again.kept, again.dropped) == (report.kept, report.dropped)
    assert report.questions[0].document_id.endswith("refund.md")


def test_without_a_model_that_follows_instructions_nobody_judges(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="--judge asks a model that follows instructions"):
        write(workspace, NO_MODEL, writing=WritingOptions(judge=True))


def test_the_cost_is_told_before_the_first_request(workspace: Workspace) -> None:
    told: list[tuple[Cost, int]] = []
    with FakeEndpoint(in_json) as endpoint:
        writing = WritingOptions(
            judge=True, announce=lambda cost: told.append((cost, len(endpoint.requests)))
        )
        write(workspace, at_endpoint(endpoint), per_chunk=2, writing=writing)
        write(workspace, at_endpoint(endpoint), per_chunk=2, writing=writing)
    # The second run lacks nothing and costs nothing.
    [(cost, requests)] = told
    assert requests == 0
    assert (cost.passages, cost.requests) == (3, 12)
    assert cost.tokens_written == 6 * JSON_TOKENS + 6 * JUDGE_TOKENS
    words = sum(len(request.prompt.split()) for request in endpoint.requests[:6])
    assert cost.tokens_read > words


def test_a_price_for_a_million_tokens() -> None:
    cost = Cost(passages=1, requests=2, tokens_read=2_000_000, tokens_written=500_000)
    # 2 x 0.15 + 0.5 x 0.6
    assert cost.money(read_price("0.15, 0.6")) == pytest.approx(0.6)
    assert read_price("0,0") == Price(0, 0)


@pytest.mark.parametrize("given", ["", "1", "1,2,3", "a,b", "-1,2", "nan,1", "inf,1"])
def test_what_is_no_price(given: str) -> None:
    with pytest.raises(ConfigError, match=r"--price-per-million is .*such as 0.15,0.6"):
        read_price(given)


def test_tokens_without_a_tokenizer_are_counted_by_bytes() -> None:
    # 8 bytes are two tokens, 3 bytes one, three Korean syllables of 3 bytes each three.
    assert count_tokens(["abcdefgh", "abc", "환불은"], None) == 2 + 1 + 3
    assert count_tokens(["a b", "c"], lambda texts: [len(text.split()) for text in texts]) == 3
