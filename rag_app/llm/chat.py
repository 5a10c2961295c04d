"""A language model behind the OpenAI chat protocol, wherever it runs."""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rag_app.errors import LanguageModelError
from rag_app.llm import local as local_llm
from rag_app.llm.endpoint import Endpoint
from rag_app.llm.loop_thread import LoopThread
from rag_app.llm.thoughts import CLOSING, OPENING, OpenedThoughts, without_thoughts

if TYPE_CHECKING:
    from llama_index.llms.openai_like import OpenAILike
    from openai import APIStatusError, OpenAI

JSON_OPTION = "response_format"
# What some of OpenAI's models refuse, and other servers do not know; the request is then sent again
# without it.
DISPENSABLE = frozenset({"max_tokens", "temperature", "seed", "stop", JSON_OPTION})
# Of an option that a server does not know, not of a value that is out of range.
_UNKNOWN = re.compile(
    r"extra|unknown|unexpected|unrecogni[sz]ed|unsupported|not (?:supported|permitted|allowed)",
    re.IGNORECASE,
)
logger = logging.getLogger(__name__)


class ChatModel:
    """A language model that speaks the OpenAI chat protocol. A context manager: close it."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int = 8,
        follows_instructions: bool = True,
        server: local_llm.LocalServer | None = None,
    ) -> None:
        """Connect lazily: nothing is sent before the first prompt.

        Arguments:
            endpoint: where the model answers.
            concurrency: requests under way at once.
            follows_instructions: False for a base model; prompt it with examples only.
            server: what to stop when this is closed, if it was started for it.
        """
        self.name = endpoint.model
        self.follows_instructions = follows_instructions
        self.concurrency = concurrency
        self._endpoint = endpoint
        self._server = server
        self._refused: set[str] = set()
        self._thoughts = OpenedThoughts(endpoint.model)
        self._sync_client: OpenAI | None = None
        self._client = endpoint.connect_async()
        self._loop = LoopThread()

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        grammar: str = "",
        as_json: bool = False,
        on_done: Callable[[int, str], None] | None = None,
    ) -> list[str]:
        """Answer each prompt, sent as one user message.

        Every prompt gets the same seed: the same prompt twice gives the same answer twice. That
        the same seed gives the same texts another day holds as far as the endpoint keeps it. The
        local model keeps it with one slot (`llm_concurrency = 1`) for the same prompts in the same
        order. With more, what shares a batch changes the last bits of the sums, which now and then
        changes a word.

        Arguments:
            prompts: any number.
            max_tokens: the longest answer, in the language model's tokens.
            temperature: 0 takes the likeliest token each time.
            seed: of the sampling, where the endpoint knows one.
            stop: an answer ends before the first of these.
            grammar: what an answer must read like, in llama.cpp's GBNF; an endpoint is not sent it.
            as_json: ask for one JSON object, which the prompt has to do as well. An endpoint that
                does not know how is asked without: an answer may be plain text.
            on_done: called in this thread with a prompt's index and answer as each one is
                finished, in any order; save them there, and a run that is killed loses little.
        Returns:
            The answers, in the prompts' order; `<think>` stands before thoughts that the prompt
            opens.
        Raises:
            LanguageModelError: one prompt failed for good. The others are cancelled; those that
                were finished have been handed to `on_done`.
        """
        options = _options(max_tokens, temperature, seed, stop)
        if grammar and self._server is not None:
            options["extra_body"] = {"grammar": grammar}
        if as_json:
            options[JSON_OPTION] = {"type": "json_object"}
        answers = [""] * len(prompts)

        async def answer_all(report: Callable[[tuple[int, str]], None]) -> None:
            await self._answer_all(prompts, options, report)

        with contextlib.closing(self._loop.reports(answer_all)) as finished:
            for index, text in finished:
                answers[index] = text
                if on_done is not None:
                    on_done(index, text)
        return answers

    def stream(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> Iterator[str]:
        """Yield the answer to one prompt piece by piece; arguments and errors as in `complete`.

        An answer that was taken for a thought comes once more, whole, behind `</think>`.
        """
        options = _options(max_tokens, temperature, seed, stop)

        async def answer(report: Callable[[str], None]) -> None:
            await self._answer_in_pieces(prompt, options, report)

        yield from self._loop.reports(answer)

    def as_llama_index(self) -> "OpenAILike":
        """The same model for LlamaIndex's parts; it works until this is closed."""
        from llama_index.llms.openai_like import OpenAILike

        if self._sync_client is None:
            self._sync_client = self._endpoint.connect()
        return OpenAILike(
            model=self._endpoint.model,
            api_base=self._endpoint.base_url,
            api_key=self._endpoint.api_key,
            is_chat_model=True,
            context_window=local_llm.CONTEXT_TOKENS,
            temperature=0.0,
            timeout=self._endpoint.timeout_seconds,
            max_retries=0,  # the clients try again themselves
            openai_client=self._sync_client,
            async_openai_client=self._endpoint.connect_async(),
        )

    def explain(self, error: Exception) -> LanguageModelError:
        """What an error of the client means that LlamaIndex's parts use, and what mends it."""

        async def explain(report: Callable[[LanguageModelError], None]) -> None:
            report(await self._endpoint.explain(error, self._client))

        [explained] = self._loop.reports(explain)
        return explained

    def close(self) -> None:
        """Cancel what is under way, disconnect, stop the local server; twice is harmless."""
        self._loop.close(last=self._client.close)
        if self._sync_client is not None:
            self._sync_client.close()
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _answer_all(
        self,
        prompts: Sequence[str],
        options: dict[str, Any],
        report: Callable[[tuple[int, str]], None],
    ) -> None:
        waiting = iter(enumerate(prompts))

        async def work() -> None:
            for index, prompt in waiting:
                report((index, await self._answer(prompt, options)))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.concurrency, len(prompts))):
                    group.create_task(work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _answer(self, prompt: str, options: dict[str, Any]) -> str:
        from openai.types.chat import ChatCompletion

        async with self._explained():
            completion = await self._send(prompt, options, stream=False)
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise self._endpoint.misunderstood(str(completion))
        choice = completion.choices[0]
        if _has_reasoning(choice.message):
            self._thoughts.come_apart()
        cut = choice.finish_reason == "length"
        text = self._thoughts.opened(choice.message.content or "", cut=cut)
        if cut and not without_thoughts(text):
            self._warn_of_thinking(options)
        return _until(text, options.get("stop", ()))

    async def _answer_in_pieces(
        self, prompt: str, options: dict[str, Any], report: Callable[[str], None]
    ) -> None:
        said, cut, taken_for_thought = "", False, False
        async with self._explained(), await self._send(prompt, options, stream=True) as chunks:
            async for choice in self._choices(chunks):
                cut = cut or choice.finish_reason == "length"
                if not (piece := choice.delta.content):
                    continue
                if not said and self._thoughts.expected:
                    taken_for_thought = True
                    report(OPENING)
                said += piece
                report(piece)
        said = self._thoughts.opened(said, cut=cut)
        if cut and not without_thoughts(said):
            self._warn_of_thinking(options)
        elif taken_for_thought and CLOSING not in said:
            report(CLOSING + said)

    async def _choices(self, chunks: Any) -> AsyncIterator[Any]:
        async for chunk in chunks:
            for choice in chunk.choices or ():
                if _has_reasoning(choice.delta):
                    self._thoughts.come_apart()
                yield choice

    def _warn_of_thinking(self, options: dict[str, Any]) -> None:
        logger.warning(
            "%s used up %d tokens before it began to answer, as reasoning models do; "
            "turn its thinking off, or name another model with RAG_APP_LLM_MODEL",
            self.name,
            options["max_tokens"],
        )

    async def _send(self, prompt: str, options: dict[str, Any], *, stream: bool) -> Any:
        from openai import BadRequestError, UnprocessableEntityError

        while True:
            request = self._request(prompt, options)
            try:
                return await self._client.chat.completions.create(**request, stream=stream)
            except (BadRequestError, UnprocessableEntityError) as error:
                refused = _refused_option(error)
                if refused not in DISPENSABLE & request.keys():
                    raise
                self._refused.add(refused)

    def _request(self, prompt: str, options: dict[str, Any]) -> dict[str, Any]:
        known = {key: value for key, value in options.items() if key not in self._refused}
        if "max_tokens" in self._refused:
            known["max_completion_tokens"] = options["max_tokens"]
        message = {"role": "user", "content": prompt}
        return {"model": self._endpoint.model, "messages": [message], **known}

    @contextlib.asynccontextmanager
    async def _explained(self) -> AsyncIterator[None]:
        import httpx
        from openai import OpenAIError

        try:
            yield
        except (OpenAIError, httpx.HTTPError, json.JSONDecodeError) as error:
            raise await self._endpoint.explain(error, self._client) from None


def _has_reasoning(part: Any) -> bool:
    """Whether thoughts come beside the answer, as vLLM, llama.cpp and Ollama can send them."""
    return bool(getattr(part, "reasoning_content", None) or getattr(part, "reasoning", None))


def _options(max_tokens: int, temperature: float, seed: int, stop: Sequence[str]) -> dict[str, Any]:
    options = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    return {**options, "stop": list(stop)} if stop else options


def _refused_option(error: "APIStatusError") -> str:
    """The option of a request that an endpoint does not take; empty: something else is wrong."""
    if str(error.code).startswith("unsupported_"):
        return str(error.param)
    # Other servers say so in words of their own.
    said = str(error)
    if JSON_OPTION in said:
        return JSON_OPTION
    named = (one for one in sorted(DISPENSABLE) if re.search(rf"""["'`]{one}["'`]""", said))
    return next(named, "") if _UNKNOWN.search(said) else ""


def _until(text: str, stop: Sequence[str]) -> str:
    """Cut where an endpoint that takes no stop strings would have stopped."""
    found = [text.find(mark) for mark in stop if mark in text]
    return text[: min(found, default=len(text))]
