"""Indexes: what made them, how they are kept true to the documents, and which one is in service."""

from typing import TYPE_CHECKING

from rag_app.lazy_names import loads

if TYPE_CHECKING:
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
    from rag_app.index.sync import (
        SyncReport,
        copy_chunks,
        is_in_step,
        stale_documents,
        sync_documents,
    )
    from rag_app.index.workload import Workload, embedding_seconds, foresee

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
    "Workload",
    "Workspace",
    "add_known",
    "check_not_empty",
    "copy_chunks",
    "embedding_seconds",
    "find_corpus",
    "foresee",
    "index_corpus",
    "index_name",
    "is_in_step",
    "name_for",
    "read_known",
    "refusal",
    "stale_documents",
    "sync_documents",
]

# What only lists indexes need not load Chroma.
_HOMES = {
    "ActivePointer": "active",
    "Catalog": "catalog",
    "ChromaServer": "server",
    "ChunkRecord": "records",
    "CorpusIndex": "corpus",
    "FilePointer": "active",
    "IndexInfo": "info",
    "IndexModel": "opening",
    "OpenIndex": "opening",
    "Passages": "store",
    "SyncReport": "sync",
    "VectorCache": "cache",
    "VectorIndex": "store",
    "Workload": "workload",
    "Workspace": "opening",
    "add_known": "known",
    "check_not_empty": "catalog",
    "copy_chunks": "sync",
    "embedding_seconds": "workload",
    "find_corpus": "corpus",
    "foresee": "workload",
    "index_corpus": "corpus",
    "index_name": "names",
    "is_in_step": "sync",
    "name_for": "names",
    "read_known": "known",
    "refusal": "limits",
    "stale_documents": "sync",
    "sync_documents": "sync",
}

__getattr__ = loads(__name__, _HOMES)
