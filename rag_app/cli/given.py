"""What the settings mean to the stages, which know nothing of settings."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.documents import Columns
    from rag_app.index import Workspace
    from rag_app.llm.choose import LanguageModelOptions
    from rag_app.retrieve import RetrievalOptions


def workspace_of(settings: "Settings") -> "Workspace":
    """Where indexes and models are."""
    from rag_app.index import Workspace

    return Workspace(
        settings.storage,
        chroma_url=settings.chroma_url,
        offline=settings.offline,
        device=settings.device,
    )


def language_model_of(settings: "Settings") -> "LanguageModelOptions":
    """Which language model."""
    from rag_app.llm.choose import LanguageModelOptions

    key = settings.llm_api_key
    return LanguageModelOptions(
        kind=settings.llm,
        base_url=settings.llm_base_url,
        model=settings.llm_model,
        api_key=key.get_secret_value() if key else "none",
        timeout_seconds=settings.llm_timeout,
        retries=settings.llm_retries,
        concurrency=settings.llm_concurrency,
        models=settings.storage / "models",
        gpu=settings.device != "cpu",
    )


def retrieval_of(settings: "Settings") -> "RetrievalOptions":
    """How passages are found.

    Raises:
        ConfigError: the retriever cannot be read.
    """
    from rag_app.retrieve import RetrievalOptions

    return RetrievalOptions.parse(
        settings.retriever,
        fetch_k=settings.fetch_k,
        rewrites=settings.rewrites,
        where=settings.where,
    )


def columns_of(settings: "Settings") -> "Columns":
    """What tables call their questions and answers."""
    from rag_app.documents import Columns

    return Columns(settings.question_column, settings.answer_column)
