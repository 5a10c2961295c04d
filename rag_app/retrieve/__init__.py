"""Retrievers: a question in, nodes with scores out; all are LlamaIndex retrievers."""

from rag_app.retrieve.exact import ExactRetriever
from rag_app.retrieve.vector import VectorRetriever

__all__ = ["ExactRetriever", "VectorRetriever"]
