"""What the settings mean to the stages, which know nothing of settings."""

import re
from typing import TYPE_CHECKING

from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from rag_app.config import Settings
    from rag_app.documents import Columns
    from rag_app.documents.content import Value
    from rag_app.index import ChromaServer, Workspace
    from rag_app.ingest.request import IndexOptions
    from rag_app.llm.choose import LanguageModelOptions
    from rag_app.retrieve import RetrievalOptions


def workspace_of(settings: "Settings") -> "Workspace":
    """Where indexes and models are."""
    from rag_app.index import Workspace

    return Workspace(
        settings.storage,
        chroma_url=server_of(settings),
        offline=settings.offline,
        device=settings.device,
        project=settings.project,
    )


def server_of(settings: "Settings") -> "ChromaServer | None":
    """Where the Chroma server is, if there is one, and as whom it is asked.

    Raises:
        ConfigError: the URL is none, or a header is no header.
    """
    from rag_app.index import ChromaServer

    if settings.chroma_url is None:
        return None
    return ChromaServer(
        settings.chroma_url,
        token=settings.chroma_token.get_secret_value() if settings.chroma_token else None,
        headers=dict(_header(one.get_secret_value()) for one in settings.chroma_headers),
        tenant=settings.chroma_tenant,
        database=settings.chroma_database,
        timeout_seconds=settings.chroma_timeout,
    )


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not (re.fullmatch(r"[A-Za-z0-9-]+", name) and colon and value.strip().isprintable()):
        raise ConfigError("a header of --chroma-header is not of the form 'NAME: VALUE'")
    return name, value.strip()


def index_options_of(settings: "Settings", dimensions: int | None = None) -> "IndexOptions":
    """How the settings want an index to be made."""
    from rag_app.ingest.request import IndexOptions

    return IndexOptions(
        settings.model,
        settings.chunk_size,
        settings.chunk_overlap,
        settings.sentences,
        dimensions,
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


def metadata_of(settings: "Settings") -> "dict[str, Value]":
    """What each document is given.

    Raises:
        ConfigError: one is not KEY=VALUE, or cannot be given.
    """
    from rag_app.documents.named import named_metadata, parsed

    return named_metadata(parsed(settings.metadata))


def pairs_of(settings: "Settings", pairs: "Path | None") -> "Path | None":
    """The file that --pairs means: "feedback" is what people said of passages.

    Raises:
        ConfigError: a file or folder of that name is here as well.
        PairsError: nothing was said yet.
    """
    from rag_app.pairs.feedback import FEEDBACK, feedback_pairs

    if pairs is None or str(pairs) != FEEDBACK:
        return pairs
    found = feedback_pairs(settings.storage)
    if pairs.exists() and not pairs.samefile(found.parent):
        raise ConfigError(
            f"--pairs feedback could be {found} or {pairs.absolute()}; write one of these paths"
        )
    return found
