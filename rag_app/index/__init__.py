"""Indexes: what made them, how they are kept true to the documents, and which one is in service."""

from rag_app.index.active import ActivePointer, FilePointer
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog, check_not_empty, index_name
from rag_app.index.info import IndexInfo
from rag_app.index.store import ChunkRecord, Passages, VectorIndex
from rag_app.index.sync import SyncReport, copy_chunks, sync_documents

__all__ = [
    "ActivePointer",
    "Catalog",
    "ChunkRecord",
    "FilePointer",
    "IndexInfo",
    "Passages",
    "SyncReport",
    "VectorCache",
    "VectorIndex",
    "check_not_empty",
    "copy_chunks",
    "index_name",
    "sync_documents",
]
