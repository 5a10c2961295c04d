"""One index: a Chroma collection of chunks with their vectors."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from llama_index.vector_stores.chroma import ChromaVectorStore

from rag_app.chunks import chunks_by_document
from rag_app.disk import disk_is_full, hardly_any_left
from rag_app.errors import DocumentError, IndexMismatch, IndexMissing, StorageError
from rag_app.index.chroma import InternalError
from rag_app.index.chroma_where import chroma_where
from rag_app.index.chunk_cache import ChunkCache
from rag_app.index.connection import Connection
from rag_app.index.info import IndexInfo
from rag_app.index.limits import refusal
from rag_app.index.records import ChunkRecord, KeptRecords
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from rag_app.vectors import Embedder

# Chroma takes 5,461 rows at most in one call; its server likes far fewer.
WRITE_BATCH = 250
# Rows whose metadata are in memory at once while all of an index is gone through.
READ_BATCH = 1000

T = TypeVar("T")

# Of a document's first chunk: the questions that the document is known to answer, and how many.
# They stand beside the chunk in its row, and are no part of its node.
KNOWN, KNOWN_COUNT = "_known_questions", "_known_count"
FUSION_KEY, RETRIEVER_KEY = "fusion", "retriever"
# LlamaIndex's own; a document's id is in document_id too.
_LLAMA_INDEX_KEYS = {"_node_content", "_node_type", "doc_id", "ref_doc_id"}
_NO_FILTER = _LLAMA_INDEX_KEYS | {KNOWN, KNOWN_COUNT}


@dataclass(frozen=True, slots=True)
class Passages:
    """All chunks of an index, by document and position: nodes, and (n, dim) unit vectors."""

    nodes: list[TextNode]
    vectors: Vectors


class UpsertingChromaStore(ChromaVectorStore):
    """ChromaVectorStore whose `add` replaces rows of the same id; the stock one keeps the old."""

    def add(self, nodes: Sequence[TextNode], **add_kwargs: Any) -> list[str]:
        """Write nodes that carry embeddings; rows with their ids are replaced."""
        for start in range(0, len(nodes), WRITE_BATCH):
            self._upsert(nodes[start : start + WRITE_BATCH])
        return [node.node_id for node in nodes]

    def _upsert(self, nodes: Sequence[TextNode]) -> None:
        ids = [node.node_id for node in nodes]
        rows = self._collection.get(ids=ids, include=["metadatas"])
        old = dict(zip(rows["ids"], rows["metadatas"], strict=True))
        metadatas = []
        for node in nodes:
            # Chroma stores lists of strings, which LlamaIndex does not know.
            new = node_to_metadata_dict(node, remove_text=True, flat_metadata=False)
            # Chroma merges metadata; only None takes a key away.
            gone = old.get(node.node_id, {}).keys() - {KNOWN, KNOWN_COUNT}
            metadatas.append({**dict.fromkeys(gone), **new})
        self._collection.upsert(
            ids=ids,
            embeddings=[node.get_embedding() for node in nodes],
            documents=[node.text for node in nodes],
            metadatas=metadatas,
        )


class VectorIndex:
    """An open index. Writing needs `with index.writing():`; one process writes at a time."""

    def __init__(self, name: str, connection: Connection, info: IndexInfo, folder: Path) -> None:
        self.name = name
        self.info = info
        self.folder = folder
        self.connection = connection
        self._generation = connection.generation
        self._records = KeptRecords(folder / "records.json")
        self._chunk_cache = ChunkCache(self.nodes, self._read_document, self.count)

    @property
    def store(self) -> "UpsertingChromaStore":
        """The collection as LlamaIndex's vector store."""
        return UpsertingChromaStore(chroma_collection=self.connection.collection)

    @property
    def generation(self) -> int:
        """A number that grows with every write; what was made of an earlier one is out of date."""
        return self._generation

    def refresh(self) -> None:
        """Notice what other processes wrote since; cheap where they wrote nothing.

        Raises:
            IndexMissing: the index was removed.
            IndexMismatch: it was made anew, with another model or chunk size.
        """
        self.connection.refresh()
        if self._generation == self.connection.generation:
            return
        self._generation = self.connection.generation
        self._chunk_cache.forget()
        if IndexInfo.from_metadata(self.connection.collection.metadata) != self.info:
            raise IndexMismatch(
                f"index {self.name!r} was removed and made anew with other settings while it was "
                "open; open it again"
            )

    @property
    def made(self) -> str | None:
        """When it was made, an ISO 8601 time; None for an index of an earlier version."""
        return (self.connection.collection.metadata or {}).get("made")

    @property
    def fusion(self) -> str | None:
        """What was learned for its search, as `keep_fusion` was given it; as of `refresh`."""
        return (self.connection.collection.metadata or {}).get(FUSION_KEY)

    @property
    def retriever(self) -> str | None:
        """The retriever that it is asked with, as `keep_retriever` was given it."""
        return (self.connection.collection.metadata or {}).get(RETRIEVER_KEY)

    def keep_fusion(self, learned: str) -> None:
        """Keep what was learned for its search with the index, so that it goes where this goes."""
        self._keep({FUSION_KEY: learned})

    def keep_retriever(self, spec: str | None) -> None:
        """Keep the retriever that it is asked with unless another is named; None: no longer."""
        self._keep({RETRIEVER_KEY: spec})

    def _keep(self, values: Mapping[str, str | None]) -> None:
        with self.connection.batch() as collection:
            metadata = {**(collection.metadata or {}), **values}
            kept = {key: value for key, value in metadata.items() if value is not None}
            collection.modify(metadata=kept)

    def check_model(self, model: "Embedder") -> None:
        """Raise IndexMismatch unless this model made the index."""
        self.info.check_model(model, index=self.name)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Keep other processes from writing the next batch; on a server they may."""
        with self.connection.steady():
            yield

    def give_way(self) -> None:
        """Let those read who wait for a batch to end; they may not between two that follow."""
        self.connection.give_way()

    @contextmanager
    def writing(self, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold the index's lock.

        Arguments:
            wait_seconds: for another process to end.
        Raises:
            IndexLocked: another process holds it.
            IndexMissing: the index was removed.
        """
        with self.connection.exclusive(wait_seconds=wait_seconds):
            try:
                self.refresh()
            except IndexMissing:
                # The lock made its folder anew; one on a server has none, but may have a namesake.
                if not (self.folder / "chroma").exists():
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise
            # For what is kept beside an index on a server, too.
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
            self._records.save()

    @contextmanager
    def batch(
        self, *, written: Iterable[ChunkRecord] = (), deleted: Sequence[str] = ()
    ) -> Iterator[Any]:
        """Write one batch; yields the collection.

        Arguments:
            written, deleted: what the batch does to the records.
        """
        before = self.connection.token
        with self.connection.batch() as collection:
            yield collection
        self._records.follow((before, self.connection.token), written=written, deleted=deleted)

    def count(self) -> int:
        """Number of chunks."""
        return int(self._ask(lambda rows: rows.count()))

    def write(self, nodes: Sequence[TextNode], vectors: Vectors) -> None:
        """Add or replace chunks; `vectors` is (n_nodes, dimension).

        Raises:
            DocumentError: a chunk has metadata that would ruin the store.
            StorageError: the disk is full.
        """
        for node in nodes:
            if reason := refusal(node.metadata):
                raise DocumentError(f"{node.ref_doc_id or node.node_id} {reason}")
        for node, vector in zip(nodes, vectors, strict=True):
            node.embedding = vector.tolist()
        try:
            for start in range(0, len(nodes), WRITE_BATCH):
                batch = nodes[start : start + WRITE_BATCH]
                written = [record for node in batch if (record := _record_of(node))]
                with self.batch(written=written) as collection:
                    UpsertingChromaStore(chroma_collection=collection).add(batch)
        except (InternalError, OSError) as error:
            # Chroma says what it could not do, and not always why.
            if not (disk_is_full(error) or hardly_any_left(self.folder)):
                raise
            raise StorageError(
                f"the disk of {self.folder} is full ({error}); free some space or name another "
                "folder with --storage. The same command then goes on"
            ) from error

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks; ids that are not there do no harm."""
        for start in range(0, len(chunk_ids), WRITE_BATCH):
            batch = list(chunk_ids[start : start + WRITE_BATCH])
            with self.batch(deleted=batch) as collection:
                collection.delete(ids=batch)

    def records(self) -> list[ChunkRecord]:
        """What is indexed."""
        self.refresh()
        token = self.connection.token
        known = self._records.get(token)
        if known is None:
            known = self._read_records()
            # What was read while another process wrote is of no one token.
            self._records.set(token if token == self.connection.token else None, known)
            self._records.save()
        return known

    def _read_records(self) -> list[ChunkRecord]:
        rows = self._get(include=["metadatas"])
        return [
            _record(chunk_id, metadata)
            for chunk_id, metadata in zip(rows["ids"], rows["metadatas"], strict=True)
        ]

    def chunk_ids(self) -> list[str]:
        """Ids of all chunks."""
        return list(self._get(include=[])["ids"])

    def nodes(self, chunk_ids: Sequence[str] | None = None) -> Iterator[TextNode]:
        """Every chunk without its vector, or these, few in memory at once, in no order.

        Ids that are not there are left out.
        """
        if chunk_ids is not None:
            for start in range(0, len(chunk_ids), READ_BATCH):
                yield from self._read_nodes(ids=list(chunk_ids[start : start + READ_BATCH]))
            return
        for start in range(0, self.count(), READ_BATCH):
            yield from self._read_nodes(limit=READ_BATCH, offset=start)

    def get_nodes(self, chunk_ids: Sequence[str]) -> list[TextNode]:
        """These chunks without their vectors, in their order; ids that are not there are left out.

        A chunk that was read is not read again until the index is written.
        """
        self.refresh()
        return self._chunk_cache.get(chunk_ids)

    def _read_nodes(self, **selection: Any) -> list[TextNode]:
        return _nodes_of(self._get(include=["metadatas", "documents"], **selection))

    def vectors(self, chunk_ids: Sequence[str]) -> Vectors:
        """Vectors of these chunks, (n_ids, dimension), in their order.

        Raises:
            KeyError: a chunk that is not there.
        """
        rows = self._get(ids=list(chunk_ids), include=["embeddings"])
        found = dict(zip(rows["ids"], rows["embeddings"], strict=True))
        return np.array([found[chunk_id] for chunk_id in chunk_ids], dtype=np.float32)

    def chunks_of(self, document_id: str) -> list[TextNode]:
        """The chunks of a document, in order; read as by `get_nodes`."""
        self.refresh()
        return self._chunk_cache.of_document(document_id)

    def _read_document(self, document_id: str) -> list[TextNode]:
        return sorted(self._read_nodes(where={"document_id": document_id}), key=_place)

    def chunks_of_documents(self, document_ids: Sequence[str]) -> dict[str, list[TextNode]]:
        """The chunks of each of these documents, in order, read in few calls."""
        found: list[TextNode] = []
        for start in range(0, len(document_ids), WRITE_BATCH):
            some = list(document_ids[start : start + WRITE_BATCH])
            found += self._read_nodes(where={"document_id": {"$in": some}})
        return chunks_by_document(found)

    def ordered_nodes(self) -> list[TextNode]:
        """Every chunk without its vector, ordered by document and position."""
        return sorted(self._read_nodes(), key=_place)

    def passages(self) -> Passages:
        """Load every chunk with its vector, ordered by document and position."""
        rows = self._get(include=["metadatas", "documents", "embeddings"])
        nodes = _nodes_of(rows)
        vectors = np.asarray(rows["embeddings"], dtype=np.float32)
        order = sorted(range(len(nodes)), key=lambda i: _place(nodes[i]))
        ordered = vectors[order] if order else np.empty((0, self.info.dimension), np.float32)
        return Passages([nodes[i] for i in order], ordered)

    def search(
        self, vector: Vectors, *, top_k: int, filters: MetadataFilters | None = None
    ) -> list[NodeWithScore]:
        """The nearest chunks by Chroma's approximate index, best first, scored by cosine.

        With `filters` the nearest of those that fit: fewer than `top_k` where fewer do.
        """
        near = self.search_ids(vector, top_k=top_k, filters=filters)
        nodes = self.get_nodes(list(near))
        return [NodeWithScore(node=node, score=near[node.node_id]) for node in nodes]

    def search_ids(
        self, vector: Vectors, *, top_k: int, filters: MetadataFilters | None = None
    ) -> dict[str, float]:
        """As `search`, without the chunks: their ids with their cosines, best first."""
        found = self._ask(
            lambda rows: rows.query(
                query_embeddings=[vector.tolist()],
                n_results=top_k,
                where=chroma_where(filters) if filters else None,
                # The rows themselves take most of a search.
                include=["distances"],
            ),
            vectors=True,
        )
        [ids], [distances] = found["ids"], found["distances"]
        return {row_id: 1.0 - far for row_id, far in zip(ids, distances, strict=True)}

    def ids_where(self, filters: MetadataFilters) -> list[str]:
        """Ids of the chunks that fit."""
        return list(self._get(where=chroma_where(filters), include=[])["ids"])

    def metadata_keys(self) -> dict[str, set[type]]:
        """The keys that a filter can name, with the types of their values over all chunks."""
        found: dict[str, set[type]] = {}
        for start in range(0, self.count(), READ_BATCH):
            rows = self._get(include=["metadatas"], limit=READ_BATCH, offset=start)
            for metadata in rows["metadatas"]:
                for key, value in metadata.items():
                    found.setdefault(key, set()).add(type(value))
        return {key: types for key, types in found.items() if key not in _NO_FILTER}

    def _get(self, *, include: list[str], **selection: Any) -> Any:
        return self._ask(
            lambda rows: rows.get(include=include, **selection), vectors="embeddings" in include
        )

    def _ask(self, read: Callable[[Any], T], *, vectors: bool = False) -> T:
        return self.connection.ask(read, vectors=vectors)


def _nodes_of(rows: Any) -> list[TextNode]:
    return [
        metadata_dict_to_node(metadata, text=text)
        for metadata, text in zip(rows["metadatas"], rows["documents"], strict=True)
    ]


def _place(node: TextNode) -> tuple[str, int]:
    """Where a chunk stands: its document, and its position in it."""
    return node.ref_doc_id or "", int(node.metadata["chunk_index"])


def _record_of(node: TextNode) -> ChunkRecord | None:
    """The record of a chunk that is written; None of a node that is none of a document's."""
    if not {"document_hash", "chunk_count"} <= node.metadata.keys():
        return None
    return _record(node.node_id, {**node.metadata, "document_id": node.ref_doc_id})


def _record(chunk_id: str, metadata: Mapping[str, Any]) -> ChunkRecord:
    return ChunkRecord(
        chunk_id=chunk_id,
        document_id=str(metadata["document_id"]),
        document_hash=str(metadata["document_hash"]),
        chunk_index=int(metadata["chunk_index"]),
        chunk_count=int(metadata["chunk_count"]),
        path=str(metadata.get("path", "")),
    )
