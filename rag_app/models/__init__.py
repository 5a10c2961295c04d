"""Embedding models: a name becomes a loaded model with its prompts and its fingerprint."""

from rag_app.models.embedding import EmbeddingModel
from rag_app.models.families import Prompts
from rag_app.models.loading import load_model
from rag_app.models.weights import find_weights

__all__ = ["EmbeddingModel", "Prompts", "find_weights", "load_model"]
