"""Work for Ray's workers, and what becomes of it.

In two steps, for what is to be embedded, and with which model, is known only when all is read: the
model may follow from the script of the documents, and what the index holds already is left out.
Vectors go into the cache as they come, by the hash of their text. So a piece that is done twice is
kept once, a run that was ended goes on where it was, and what Ray did not do the index does itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rag_app.documents import Columns, read_sources
from rag_app.documents.reading import check_ocr_of, is_own, joined
from rag_app.documents.states import reading_key
from rag_app.errors import ClusterError
from rag_app.index import stale_documents
from rag_app.ingest.spread.workers import (
    Documents,
    Embedded,
    Failed,
    FileReader,
    Files,
    ModelPlace,
    PassageEmbedder,
    Read,
    Refused,
    starts,
)
from rag_app.models import EmbeddingModel
from rag_app.progress import Progress, silent
from rag_app.vectors import passage_fingerprint

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.documents import ReadResult, Source
    from rag_app.documents.reading import Keep
    from rag_app.index import IndexModel, VectorCache, VectorIndex
    from rag_app.ingest.spread.cluster import RayCluster

T = TypeVar("T", Read, Embedded)
# Of one piece of work: it is done again when its worker dies, so it is small; and a worker that
# embeds a few chunks at a time wastes nothing.
MOST_FILES = 64
FEWEST_CHARACTERS, MOST_CHARACTERS = 8_000, 200_000
# Pieces that all work is taken apart into, so that all workers end at about the same time.
PIECES = 128


class Spreading:
    """Reads and embeds with the workers of a cluster."""

    def __init__(self, cluster: "RayCluster") -> None:
        self._cluster = cluster

    def read(
        self,
        sources: "Sequence[Source]",
        *,
        keep: "Keep | None" = None,
        progress: Progress = silent,
    ) -> "ReadResult":
        """As `read_sources`; readers that a program added read here.

        Raises:
            ConfigError: pages are to be read by OCR, and tesseract or a language is not installed.
            ClusterError: no cluster, or a worker that does not find the files or reads otherwise.
        """
        check_ocr_of(sources)
        kept = {source.path: one for source in sources if keep and (one := keep(source))}
        others = [source for source in sources if source.path not in kept]
        here = read_sources([one for one in others if not is_own(one)], keep=keep)
        here.kept.update(kept)
        own = [source for source in others if is_own(source)]
        return joined([here, *(self._read(own, progress) if own else ())])

    def _read(self, sources: "Sequence[Source]", progress: Progress) -> "list[ReadResult]":
        size = min(MOST_FILES, -(-len(sources) // PIECES))
        cuts = range(0, len(sources), size)
        pieces = [Files(number, sources[cut : cut + size]) for number, cut in enumerate(cuts)]
        parts: dict[int, ReadResult] = {}
        done = 0
        arguments = {"key": reading_key(Columns())}
        with closing(self._cluster.map(FileReader, arguments, pieces)) as outcomes:
            for read in accepted(outcomes):
                check_there(read)
                parts[read.number] = read.reading
                files = pieces[read.number].sources
                done += len(files)
                progress("read", done, len(sources), files[-1].id)
        return [parts[number] for number in sorted(parts)]

    def embed(
        self,
        index: "VectorIndex",
        documents: "Sequence[Document]",
        *,
        model: "IndexModel",
        cache: "VectorCache",
        progress: Progress = silent,
    ) -> None:
        """Put the vectors that the index will need of these documents into the cache.

        A model of the user's own, which is no folder that workers could load, embeds where it is.

        Raises:
            ClusterError: no cluster, or a worker that cannot load the model.
        """
        stale = stale_documents(index, documents)
        if not stale or not isinstance(model, EmbeddingModel):
            return
        arguments = {
            "place": _place(model),
            "chunking": index.info.chunking,
            "known": starts(cache.passage_hashes(model)),
        }
        total = Documents(stale).characters
        most = min(max(total // PIECES, FEWEST_CHARACTERS), MOST_CHARACTERS)
        pieces = [*_pieces(stale, most)]
        on_gpu = model.device in ("auto", "cuda")
        done = 0
        work = self._cluster.map(PassageEmbedder, arguments, pieces, gpus=on_gpu)
        with closing(work) as outcomes:
            for embedded in accepted(outcomes):
                cache.keep_passages(model, embedded.vectors)
                done += embedded.characters
                progress("embed", done, total, "characters")


def _pieces(documents: "Sequence[Document]", most: int) -> Iterator[Documents]:
    """Neighbouring documents of so many characters together, or a longer one by itself."""
    piece: list[Document] = []
    for document in documents:
        if piece and Documents(piece).characters + len(document.text) > most:
            yield Documents(piece)
            piece = []
        piece.append(document)
    yield Documents(piece)


def _place(model: EmbeddingModel) -> ModelPlace:
    folder = model.folder.absolute()
    return ModelPlace(model.name, folder, model.device, passage_fingerprint(model))


def accepted(outcomes: Iterable[T | Refused | Failed]) -> Iterator[T]:
    """The outcomes of work that was done.

    Raises:
        ClusterError: a worker cannot work.
        RagAppError: what else a worker raised that a user can mend, with the name of its machine.
    """
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            raise type(outcome.error)(f"the Ray worker on {outcome.host}: {outcome.error}")
        if isinstance(outcome, Refused):
            raise ClusterError(
                f"the Ray worker on {outcome.host} {outcome.why}. Each machine of the cluster "
                "needs the same in the same place; `--ray local` needs none but this one"
            )
        yield outcome


def check_there(read: Read) -> None:
    """A file that is on this machine and not on a worker's is not one that cannot be read."""
    for path in read.absent:
        if Path(path).exists():
            raise ClusterError(
                f"the Ray worker on {read.host} does not find {path}; mount its folder there in "
                "the same place, or use `--ray local`"
            )
