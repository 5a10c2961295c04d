"""Tune retrieval on your own documents, and know whether it helped.

The public names; each is loaded when it is first used. docs/python.md shows them at work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag_app.api import (
        finetune,
        ingest,
        language_model,
        open_index,
        sweep,
        write_questions,
    )
    from rag_app.errors import RagAppError
    from rag_app.evaluate.evaluation import Evaluation, compare, evaluate
    from rag_app.index import Workspace
    from rag_app.models.endpoint import EndpointEmbedder
    from rag_app.models.langchain import LangChainEmbeddings
    from rag_app.models.llama_index import Embedding
    from rag_app.pairs import LabelledQuestion, read_questions
    from rag_app.query.langchain import LangChainRetriever
    from rag_app.query.opened import Index
    from rag_app.vectors import Embedder

__version__ = "0.1.0"

__all__ = [
    "Embedder",
    "Embedding",
    "EndpointEmbedder",
    "Evaluation",
    "Index",
    "LabelledQuestion",
    "LangChainEmbeddings",
    "LangChainRetriever",
    "RagAppError",
    "Workspace",
    "__version__",
    "compare",
    "evaluate",
    "finetune",
    "ingest",
    "language_model",
    "open_index",
    "read_questions",
    "sweep",
    "write_questions",
]

_HOMES = {
    "Embedder": "vectors",
    "Embedding": "models.llama_index",
    "EndpointEmbedder": "models.endpoint",
    "Evaluation": "evaluate.evaluation",
    "Index": "query.opened",
    "LabelledQuestion": "pairs",
    "LangChainEmbeddings": "models.langchain",
    "LangChainRetriever": "query.langchain",
    "RagAppError": "errors",
    "Workspace": "index",
    "compare": "evaluate.evaluation",
    "language_model": "api",
    "open_index": "api",
    "read_questions": "pairs",
    "write_questions": "api",
}
# Packages that are called like functions, see rag_app/callable_stage.py.
_STAGES = ("evaluate", "finetune", "ingest", "sweep")


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name in _STAGES:
        return import_module(f"rag_app.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'rag_app' has no attribute {name!r}")
    value = getattr(import_module(f"rag_app.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
