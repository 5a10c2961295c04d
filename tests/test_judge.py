"""A language model judges answers by LlamaIndex's evaluators."""

import threading

import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure

from rag_app.answer.answer import Answer, Citation
from rag_app.answer.citations import check_citations
from rag_app.answer.judge import Judgement, judge
from rag_app.errors import ConfigError, LanguageModelError
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint

REFUND = "Refunds are paid within five working days."


def answered(text: str) -> Answer:
    citation = Citation(1, "/shop.md", "shop.md", "Shop", "", None, 0, len(REFUND), REFUND, 0.5)
    checked = check_citations(text, [citation.shown])
    return Answer("when?", checked.text, [citation], checked, "gemma", understood_as="when paid?")


def judged(fake: FakeEndpoint, answer: Answer) -> Judgement:
    with ChatModel(Endpoint(base_url=fake.url, model="gemma", retries=0)) as llm:
        return judge(answer, llm)


def faithful_only(request: Request) -> Reply:
    """Yes to whether the context supports it, no to whether that is what was asked."""
    faithful = "supported by the context" in request.prompt
    return completion("YES" if faithful else "NO, it is about yesterday.")


def test_a_judgement() -> None:
    with FakeEndpoint(faithful_only) as fake:
        judgement = judged(fake, answered("Refunds are paid within five days [1]. Penguins!"))
    assert judgement.to_json() == {
        "model": "gemma",
        "faithful": True,
        "relevant": False,  # "yesterday" is no yes, as it is to LlamaIndex
        "said": {"faithful": "YES", "relevant": "NO, it is about yesterday."},
        "support_ratio": 1 / 2,
    }
    faithful, relevant = (request.prompt for request in fake.requests)
    # The answer without its marks, and each passage with its title, as its writer saw them.
    assert "Information: Refunds are paid within five days. Penguins!\n" in faithful
    assert f"Shop\n{REFUND}" in faithful
    assert "Question: when paid?\nResponse: Refunds are paid within five days." in relevant
    assert f"Shop\n{REFUND}" in relevant


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("YES", True),
        ("**No**, though yes in part.", False),
        ("The answer is yes.", True),
        ("<think>No? It says so: yes.</think>\nNO", False),
        ("I say neither yes nor no.", None),
        ("Yesterday.", None),
    ],
)
def test_what_the_model_says_is_read(said: str, verdict: bool | None) -> None:
    with FakeEndpoint(lambda _: completion(said)) as fake:
        assert judged(fake, answered(REFUND)).faithful is verdict


def test_where_nothing_is_claimed_nothing_is_judged() -> None:
    found = Answer("when?", "The documents do not say.", answered(REFUND).citations)
    with FakeEndpoint() as fake:
        judgement = judged(fake, found)
    assert (judgement.faithful, judgement.relevant, judgement.said) == (None, None, {})
    assert judgement.support_ratio is None
    assert fake.requests == []


def test_a_model_that_only_continues_text_cannot_judge() -> None:
    with (
        FakeEndpoint() as fake,
        ChatModel(Endpoint(base_url=fake.url, model="base"), follows_instructions=False) as llm,
        pytest.raises(ConfigError, match="base only continues text, and judging takes one"),
    ):
        judge(answered(REFUND), llm)
    with pytest.raises(ConfigError, match=r"there is no language model, .* --llm-base-url URL"):
        judge(answered(REFUND), None)


def test_a_judge_that_refuses_is_told_of_as_ever() -> None:
    before = threading.active_count()
    with (
        FakeEndpoint(lambda _: failure(401, "no")) as fake,
        pytest.raises(LanguageModelError, match="answers 401: no; set RAG_APP_LLM_API_KEY"),
    ):
        judged(fake, answered(REFUND))
    assert threading.active_count() <= before + 1
