"""Indexes: what made them, how they are kept true to the documents, and which one is in service."""

from rag_app.index.active import ActivePointer, FilePointer
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog, check_not_empty
from rag_app.index.corpus import CorpusIndex, find_corpus, index_corpus
from rag_app.index.info import IndexInfo
from rag_app.index.known import add_known, read_known
from rag_app.index.limits import refusal
from rag_app.index.names import index_name, name_for
from rag_app.index.opening import IndexModel, OpenIndex, Workspace
from rag_app.index.records import ChunkRecord
from rag_app.index.server import ChromaServer
from rag_app.index.store import Passages, VectorIndex
from rag_app.index.sync import SyncReport, copy_chunks, is_in_step, sync_documents

__all__ = [
    "ActivePointer",
    "Catalog",
    "ChromaServer",
    "ChunkRecord",
    "CorpusIndex",
    "FilePointer",
    "IndexInfo",
    "IndexModel",
    "OpenIndex",
    "Passages",
    "SyncReport",
    "VectorCache",
    "VectorIndex",
    "Workspace",
    "add_known",
    "check_not_empty",
    "copy_chunks",
    "find_corpus",
    "index_corpus",
    "index_name",
    "is_in_step",
    "name_for",
    "read_known",
    "refusal",
    "sync_documents",
]
