"""What runs in Ray's processes, on this machine or another: called with a row, it gives one back.

A row has one value, a piece of work on the way there and an outcome on the way back. An error that
a user can mend is an outcome: Ray would wrap it in its own, and try again.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag_app.chunking import Chunking
from rag_app.environment import prepare_environment
from rag_app.errors import RagAppError
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.chunks import SentenceChunker
    from rag_app.documents import ReadResult, Source
    from rag_app.models import EmbeddingModel

# The one value of a row.
VALUE = "value"
_OTHER_READERS = (
    "has another version of rag_app, or of a library that reads files, than this machine"
)
# The first bytes of the hashes of texts, (n,) uint64.
Starts = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Refused:
    """A worker that cannot work, and why; `why` goes on after its host's name."""

    host: str
    why: str


@dataclass(frozen=True)
class Failed:
    """Work that ended with an error that a user can mend."""

    host: str
    error: RagAppError


@dataclass(frozen=True)
class Files:
    """Files to be read together."""

    number: int
    sources: "Sequence[Source]"


@dataclass(frozen=True)
class Read:
    """What was read of some files.

    Fields:
        absent: files that the worker does not find.
    """

    number: int
    reading: "ReadResult"
    absent: list[Path]
    host: str


@dataclass(frozen=True)
class Documents:
    """Documents to be cut and embedded together."""

    documents: "Sequence[Document]"

    @property
    def characters(self) -> int:
        """Of all of them."""
        return sum(len(document.text) for document in self.documents)


@dataclass(frozen=True)
class Embedded:
    """Vectors of passages: hash of the text -> (dimension,) float32.

    Fields:
        characters: of the documents.
    """

    vectors: dict[bytes, Vectors]
    characters: int


@dataclass(frozen=True)
class ModelPlace:
    """A model that workers load, and how it is known to be the same.

    Fields:
        folder: the same on every machine.
        fingerprint: of what passages pass through.
    """

    name: str
    folder: Path
    device: str
    fingerprint: str


def outcome_of(work: Callable[[Any], Any], row: dict[str, Any]) -> dict[str, Any]:
    """A row with what becomes of its piece of work."""
    try:
        return {VALUE: work(row[VALUE])}
    except RagAppError as error:
        return {VALUE: Failed(socket.gethostname(), error)}


class FileReader:
    """Reads files, each in a process that can be ended when it takes too much.

    Arguments:
        key: `reading_key()` where the work comes from.
    """

    def __init__(self, key: str) -> None:
        prepare_environment()
        from rag_app.documents import Columns
        from rag_app.documents.bounded import ReadingProcess
        from rag_app.documents.states import reading_key

        self._process = ReadingProcess()
        self._is_same = reading_key(Columns()) == key

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Files -> Read, Refused or Failed."""
        return outcome_of(self._read, row)

    def _read(self, files: Files) -> Read | Refused:
        from rag_app.documents import read_sources

        host = socket.gethostname()
        if not self._is_same:
            return Refused(host, _OTHER_READERS)
        absent = [one.path for one in files.sources if not os.path.lexists(one.path)]
        # With `keep` the state of each file is taken.
        reading = read_sources(files.sources, keep=lambda _: None, process=self._process)
        return Read(files.number, reading, absent, host)


class PassageEmbedder:
    """Cuts documents and embeds their passages.

    Arguments:
        known: texts that need no vector.
    """

    def __init__(self, place: ModelPlace, chunking: Chunking, known: Starts) -> None:
        prepare_environment()
        self._known = known
        self._loaded: tuple[EmbeddingModel, SentenceChunker] | None = None
        self._why = ""
        try:
            self._load(place, chunking)
        except (RagAppError, OSError) as error:
            self._why = f"cannot load the model {place.name}: {error}"

    def _load(self, place: ModelPlace, chunking: Chunking) -> None:
        from rag_app.chunks import SentenceChunker
        from rag_app.models import EmbeddingModel

        model = EmbeddingModel(place.name, place.folder, device=place.device)
        if model.passage_fingerprint == place.fingerprint:
            self._loaded = model, SentenceChunker.for_model(model, chunking)
        else:
            self._why = f"has other weights in {place.folder} than this machine"

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Documents -> Embedded, Refused or Failed."""
        return outcome_of(self._embed, row)

    def _embed(self, piece: Documents) -> Embedded | Refused:
        if self._loaded is None:
            return Refused(socket.gethostname(), self._why)
        model, chunker = self._loaded
        texts = self._missing(piece.documents, chunker)
        vectors = model.embed_passages([*texts.values()]) if texts else ()
        return Embedded(dict(zip(texts, vectors, strict=True)), piece.characters)

    def _missing(
        self, documents: "Sequence[Document]", chunker: "SentenceChunker"
    ) -> dict[bytes, str]:
        """The passages without a vector, each once, by the hash of the text."""
        from rag_app.chunks import passage_text
        from rag_app.index.cache import text_hash

        nodes = chunker.get_nodes_from_documents(documents)
        texts = {text_hash(text): text for text in map(passage_text, nodes)}
        there = np.isin(starts([*texts]), self._known)
        return {key: texts[key] for key, is_known in zip(texts, there, strict=True) if not is_known}


def starts(hashes: Sequence[bytes]) -> Starts:
    """The first eight bytes of each hash.

    Where two texts share them, one of them is embedded where the work comes from.
    """
    return np.frombuffer(b"".join(one[:8] for one in hashes), np.uint64)
