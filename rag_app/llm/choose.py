"""Which language model the settings name: an endpoint, a local GGUF, or none."""

from rag_app.config import Settings
from rag_app.errors import ConfigError
from rag_app.llm import local as local_llm
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint


def open_language_model(settings: Settings) -> ChatModel | None:
    """Open the language model that the settings name; None if they name none.

    `auto` takes the endpoint if one is named, else the local model if it is installed, else none.

    Raises:
        ConfigError: a setting that the choice needs is missing or wrong.
        LanguageModelError: the local model is not installed, or cannot be loaded.
    """
    if settings.llm == "none":
        return None
    if settings.llm == "endpoint" or (settings.llm == "auto" and settings.llm_base_url):
        return _open_endpoint(settings)
    if settings.llm == "auto" and not settings.llm_model and not local_llm.installed():
        return None
    return _open_local(settings)


def _open_endpoint(settings: Settings) -> ChatModel:
    url, model, key = settings.llm_base_url, settings.llm_model, settings.llm_api_key
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
        api_key=key.get_secret_value() if key else "none",
        timeout_seconds=settings.llm_timeout,
        retries=settings.llm_retries,
    )
    return ChatModel(endpoint, concurrency=settings.llm_concurrency)


def _open_local(settings: Settings) -> ChatModel:
    server = local_llm.start_server(settings)
    endpoint = Endpoint(
        base_url=server.base_url,
        model=server.name,
        api_key=server.api_key,
        timeout_seconds=settings.llm_timeout,
        retries=0,  # what fails in this process fails again
        proxies=False,
    )
    return ChatModel(
        endpoint,
        concurrency=server.slots,
        follows_instructions=server.follows_instructions,
        server=server,
    )
