"""One OpenAI-compatible endpoint: how it is reached, and what to do when it cannot be."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rag_app.errors import LanguageModelError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAI

Client = TypeVar("Client", "AsyncOpenAI", "OpenAI")
CONNECT_SECONDS = 10.0
MODELS_SECONDS = 5.0
DETAIL_CHARACTERS = 300


@dataclass(frozen=True)
class Endpoint:
    """Where a language model answers, under which name, and how patient to be."""

    base_url: str
    model: str
    api_key: str = field(default="none", repr=False)
    timeout_seconds: float = 120.0
    retries: int = 4
    proxies: bool = True
    """Whether HTTP_PROXY and its like count; a server on loopback is never behind one."""

    def connect_async(self) -> "AsyncOpenAI":
        """A client for one event loop; nothing is sent yet."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        http_client = DefaultAsyncHttpxClient(trust_env=self.proxies)
        return without_environment(AsyncOpenAI(**self._options(), http_client=http_client))

    def connect(self) -> "OpenAI":
        """A client for threads; nothing is sent yet."""
        from openai import DefaultHttpxClient, OpenAI

        http_client = DefaultHttpxClient(trust_env=self.proxies)
        return without_environment(OpenAI(**self._options(), http_client=http_client))

    async def explain(self, error: Exception, client: "AsyncOpenAI") -> LanguageModelError:
        """Turn what a client raised into what was found and how to mend it."""
        import httpx
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        if isinstance(error, APITimeoutError | httpx.TimeoutException):  # the latter in a stream
            return LanguageModelError(
                f"{self.base_url} gave no answer within {self.timeout_seconds:g} s "
                f"(tried {self._tries()}); raise RAG_APP_LLM_TIMEOUT or lower "
                "RAG_APP_LLM_CONCURRENCY"
            )
        if isinstance(error, APIConnectionError):
            return LanguageModelError(
                f"nothing answers at {self.base_url} ({error.__cause__ or error}; tried "
                f"{self._tries()}); start the server, correct RAG_APP_LLM_BASE_URL, "
                "or use --llm none"
            )
        if isinstance(error, APIStatusError):
            return await self._explain_status(error, client)
        return self.misunderstood(str(error))

    def misunderstood(self, answer: str) -> LanguageModelError:
        """The error for an answer that is no chat completion, or half of one."""
        return LanguageModelError(
            f"{self.base_url} broke off, or answers what no chat model answers: "
            f"{_shortened(answer)}; look at the server's log, and check that "
            "RAG_APP_LLM_BASE_URL ends where the API begins, mostly with /v1"
        )

    async def _explain_status(
        self, error: "APIStatusError", client: "AsyncOpenAI"
    ) -> LanguageModelError:
        status, said = error.status_code, _detail(error)
        if status in (401, 403):
            mend = "set RAG_APP_LLM_API_KEY to a key that it accepts"
        elif status == 429:
            mend = "lower RAG_APP_LLM_CONCURRENCY, raise RAG_APP_LLM_RETRIES, or try again later"
        elif status >= 500:
            mend = f"look at the server's log (tried {self._tries()})"
        elif status == 400 and "context" in said:
            mend = "use a smaller --chunk-size or --top-k, or a model with a longer context"
        elif status in (400, 404):
            mend = await self._explain_model(client)
        else:
            mend = "check RAG_APP_LLM_BASE_URL"
        return LanguageModelError(f"{self.base_url} answers {status}: {said}; {mend}")

    async def _explain_model(self, client: "AsyncOpenAI") -> str:
        offered = await _offered_models(client)
        if offered and self.model not in offered:
            return f"set RAG_APP_LLM_MODEL to a model that it offers: {', '.join(offered)}"
        return "check RAG_APP_LLM_MODEL, and that RAG_APP_LLM_BASE_URL goes up to /v1"

    def _options(self) -> dict[str, Any]:
        import httpx

        connect = min(CONNECT_SECONDS, self.timeout_seconds)
        return {
            "base_url": self.base_url,
            "api_key": self.api_key,
            "timeout": httpx.Timeout(self.timeout_seconds, connect=connect),
            "max_retries": self.retries,
        }

    def _tries(self) -> str:
        return "once" if self.retries == 0 else f"{self.retries + 1} times"


def without_environment(client: Client) -> Client:
    """The same client, which sends nothing of an OpenAI account.

    The openai package adds OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS to every
    request: an account's secrets, which other endpoints must not see.
    """
    client.organization = None
    client.project = None
    client._custom_headers = {}
    return client


async def _offered_models(client: "AsyncOpenAI") -> list[str]:
    from openai import OpenAIError
    from openai.pagination import AsyncPage

    try:
        page = await client.models.list(timeout=MODELS_SECONDS)
    except (OpenAIError, ValueError):
        return []  # the first error is the one to tell
    found = page.data if isinstance(page, AsyncPage) else None
    return sorted(model.id for model in found or [])


def _detail(error: "APIStatusError") -> str:
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    return _shortened(str(said or error.message))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_CHARACTERS else text[:DETAIL_CHARACTERS] + "…"
