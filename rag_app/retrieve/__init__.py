"""Retrievers: a question in, nodes with scores out; all are LlamaIndex retrievers."""

from rag_app.retrieve.build import build_retriever, rank_views
from rag_app.retrieve.exact import ExactRetriever
from rag_app.retrieve.options import RetrievalOptions
from rag_app.retrieve.searched import Searched, Tools
from rag_app.retrieve.trace import Trace
from rag_app.retrieve.vector import VectorRetriever

__all__ = [
    "ExactRetriever",
    "RetrievalOptions",
    "Searched",
    "Tools",
    "Trace",
    "VectorRetriever",
    "build_retriever",
    "rank_views",
]
