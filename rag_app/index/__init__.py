"""Indexes: what made them, how they are kept true to the documents, and which one is in service."""

from rag_app.index.active import ActivePointer
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog
from rag_app.index.info import IndexInfo
from rag_app.index.names import index_name, name_for
from rag_app.index.store import ChunkRecord, Passages, VectorIndex
from rag_app.index.sync import SyncReport, copy_chunks, sync_documents

__all__ = [
    "ActivePointer",
    "Catalog",
    "ChunkRecord",
    "IndexInfo",
    "Passages",
    "SyncReport",
    "VectorCache",
    "VectorIndex",
    "copy_chunks",
    "index_name",
    "name_for",
    "sync_documents",
]
