"""What an ingest is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunking import Chunking
from rag_app.documents import Columns

if TYPE_CHECKING:
    from rag_app.documents.content import Value
    from rag_app.index import IndexInfo


@dataclass(frozen=True)
class IndexOptions:
    """How an index is to be made; None where the index in service, or else the default, decides.

    Fields:
        dimensions: to cut vectors to; None: all.
    """

    model: str | None = None
    chunk_size: int | None = None
    chunk_overlap: int | None = None
    sentences: str | None = None
    dimensions: int | None = None

    def chunking(self) -> Chunking:
        """How documents are cut in a new index.

        Raises:
            ConfigError: sizes that no index can have.
        """
        named = {key: value for key, value in self._cutting().items() if value is not None}
        chunking = replace(Chunking(), **named)
        chunking.check()
        return chunking

    def differs_from(self, info: "IndexInfo") -> str | None:
        """The first setting that an index was made with otherwise; None if it fits."""
        return next(
            (
                key
                for key, value in self._cutting().items()
                if value is not None and value != getattr(info, key)
            ),
            None,
        )

    def _cutting(self) -> dict[str, Any]:
        return {
            "chunk_size": self.chunk_size,
            "chunk_overlap": self.chunk_overlap,
            "sentences": self.sentences,
        }


@dataclass(frozen=True)
class IngestRequest:
    """Which documents, and the index that is to be brought in line with them.

    Fields:
        paths: the files and folders that are read: what the index holds of them and is not among
            the documents is removed.
        index: its name; None: the one in service, or one that `options` describe.
        columns: of FAQ tables.
        ocr: languages, as tesseract calls them (kor+eng), in which pages of PDFs without text are
            read; None: they are not.
        metadata: that each document gets where it has no such field itself, as `named_metadata`
            makes it.
        use: put the index into service.
        prune: remove also the documents whose file is gone from another place than was read.
        dedupe: leave out documents that say what an earlier one of this ingest says, by path.
    """

    paths: Sequence[Path] = ()
    index: str | None = None
    options: IndexOptions = IndexOptions()
    columns: Columns = Columns()
    ocr: str | None = None
    metadata: "Mapping[str, Value]" = field(default_factory=dict)
    use: bool = False
    prune: bool = False
    dedupe: bool = False
