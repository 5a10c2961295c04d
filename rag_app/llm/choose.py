"""Which language model is meant: an endpoint, a local GGUF, or none."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from rag_app.errors import ConfigError, refuse_unknown
from rag_app.llm import local as local_llm
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint

Kind = Literal["auto", "none", "local", "endpoint"]


@dataclass(frozen=True)
class LanguageModelOptions:
    """Which language model, and how patient to be with it.

    Fields:
        kind: "auto" (the endpoint if one is named, else the local model if it is installed, else
            none), "none", "local" or "endpoint".
        base_url: of an OpenAI-compatible endpoint, up to /v1.
        model: its name there, or a GGUF file.
        timeout_seconds: to wait for one answer.
        retries: tries after the first that failed.
        concurrency: requests under way at once.
        models: folder in which the local model's weights are put together.
        gpu: whether the local model may use one.
    """

    kind: Kind = "auto"
    base_url: str | None = None
    model: str | None = None
    api_key: str = field(default="none", repr=False)
    timeout_seconds: float = 120.0
    retries: int = 4
    concurrency: int = 8
    models: Path = Path("storage/models")
    gpu: bool = True

    def __post_init__(self) -> None:
        """Refuse what no language model can be asked with.

        Raises:
            ConfigError: an unknown kind, or a number out of range.
        """
        refuse_unknown("llm", self.kind, get_args(Kind))
        for name, value, fits, takes in (
            ("llm_timeout", self.timeout_seconds, self.timeout_seconds > 0, "seconds above 0"),
            ("llm_retries", self.retries, self.retries >= 0, "0 or more"),
            ("llm_concurrency", self.concurrency, self.concurrency >= 1, "1 or more"),
        ):
            if not fits:
                raise ConfigError(f"{name} is {value!r}; it takes {takes}")

    @property
    def asks_endpoint(self) -> bool:
        """Whether these name an endpoint."""
        return self.kind == "endpoint" or (self.kind == "auto" and bool(self.base_url))

    @property
    def may_answer(self) -> bool:
        """Whether the model may be one that answers questions.

        The local one that is taken because it is there only continues text.
        """
        return self.kind != "none" and (self.named or self.asks_endpoint)

    @property
    def named(self) -> bool:
        """Whether one was asked for, rather than taken because it is there."""
        return self.kind != "auto" or self.model is not None


def open_language_model(options: LanguageModelOptions) -> ChatModel | None:
    """Open the language model that the options name; None if they name none.

    `auto` takes the endpoint if one is named, else the local model if it is installed, else none.

    Raises:
        ConfigError: a setting that the choice needs is missing or wrong.
        LanguageModelError: the local model is not installed, or cannot be loaded.
    """
    if options.kind == "none":
        return None
    if options.asks_endpoint:
        return _open_endpoint(options)
    if options.kind == "auto" and not options.model and not local_llm.installed():
        return None
    return _open_local(options)


def _open_endpoint(options: LanguageModelOptions) -> ChatModel:
    url, model = options.base_url, options.model
    if not url or not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"llm_base_url is {url!r}, which is no address of an endpoint; set --llm-base-url or "
            "RAG_APP_LLM_BASE_URL, for instance to http://localhost:11434/v1"
        )
    if not model:
        raise ConfigError(
            f"llm_model is not set: which model shall {url} use? "
            "name it with --llm-model or RAG_APP_LLM_MODEL"
        )
    endpoint = Endpoint(
        base_url=url,
        model=model,
        api_key=options.api_key,
        timeout_seconds=options.timeout_seconds,
        retries=options.retries,
    )
    return ChatModel(endpoint, concurrency=options.concurrency)


def _open_local(options: LanguageModelOptions) -> ChatModel:
    server = local_llm.start_server(
        _gguf(options), concurrency=options.concurrency, gpu=options.gpu
    )
    endpoint = Endpoint(
        base_url=server.base_url,
        model=server.name,
        api_key=server.api_key,
        timeout_seconds=options.timeout_seconds,
        retries=0,  # what fails in this process fails again
        proxies=False,
    )
    return ChatModel(
        endpoint,
        concurrency=server.slots,
        follows_instructions=server.follows_instructions,
        server=server,
    )


def _gguf(options: LanguageModelOptions) -> Path:
    """The GGUF that is named, or Gemma 3 270M.

    A model's name without .gguf belongs to an endpoint, and kind "local" passes over it.
    """
    named = options.model
    if named and named.endswith(".gguf"):
        return Path(named)
    if named and options.kind == "auto":
        raise ConfigError(
            f"llm_model is {named!r}, which is no .gguf file, and no endpoint is named; set "
            "--llm-base-url or RAG_APP_LLM_BASE_URL, or leave llm_model out for the local model"
        )
    return local_llm.gemma_gguf(options.models)
