"""Rows of an index's chunks kept in a folder beside it: `<index>/sentences/`, `<index>/tokens/`.

A file a column holds the rows, and `about.json` says which of them are whose. What is new is
appended, and then `about.json` is replaced whole: what a process had appended when it was killed
is written over by the next one. Rows of chunks that are gone stay until they are more than the
others; then all are written anew, under another name.
"""

import contextlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from rag_app.disk import UNREADABLE, write_whole
from rag_app.progress import Progress, silent
from rag_app.retrieve.chunk_rows import ChunkRows, Columns, slabs

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorIndex

R = TypeVar("R", bound=ChunkRows)
_ABOUT = "about.json"
# The column with many numbers a row.
_WIDE = "rows"
# While another process brings them up to date.
_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class _About:
    """What the files hold.

    Fields:
        stamp: as of `RowsFolder`.
        files: what their names begin with.
        width: numbers of a row; 0 while there is none.
        end: rows that were written; what lies behind them is nobody's.
        chunk_ids, starts, counts: (n_chunks,) each, as of `ChunkRows`.
        frequencies: by token id, how many chunks hold it; empty where rows have no ids.
    """

    stamp: str
    files: str
    width: int
    end: int
    chunk_ids: Sequence[str]
    starts: Sequence[int]
    counts: Sequence[int]
    frequencies: Sequence[int]


@dataclass(frozen=True)
class RowsFolder(Generic[R]):
    """The folder of one kind of rows.

    Fields:
        kind: what it is read as.
        stamp: what the rows depend on besides their chunk's text, which its id hashes.
        rows_of: chunks -> the columns of each.
        slab: for so many chunks at a time.
        step: what progress is told of it.
    """

    folder: Path
    kind: type[R]
    stamp: str
    rows_of: "Callable[[Sequence[TextNode]], Iterable[Columns]]"
    slab: int
    step: str

    def open(self, index: "VectorIndex", *, progress: Progress = silent) -> R:
        """The rows of all chunks; those of chunks that it lacks are made now, and kept.

        Where they cannot be kept (a full or read-only disk, another process that writes them) they
        are made in a temporary folder, and again next time.

        Raises:
            IndexMissing: the index was removed meanwhile.
            OSError: the temporary folder has no room either.
        """
        kept = self.load()
        if kept is not None and set(kept.chunk_ids) == set(index.chunk_ids()):
            return kept
        with contextlib.suppress(OSError):
            return self._brought_up_to_date(index, progress)
        with TemporaryDirectory() as place:
            return replace(self, folder=Path(place))._written(index, kept, progress)

    def load(self) -> R | None:
        """What the folder keeps; None unless it is whole and has this stamp."""
        loaded = self._load()
        return loaded[1] if loaded else None

    def write(
        self,
        nodes: "Iterable[TextNode]",
        *,
        kept: R | None = None,
        done: Callable[[int], None] = lambda _: None,
    ) -> R:
        """Write the rows of these chunks, and forget all others; what the folder keeps then.

        Arguments:
            kept: rows of chunks that it has are taken over.
            done: called with how many chunks are written.
        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(exist_ok=True)
        about = _About(self.stamp, uuid.uuid4().hex[:8], 0, 0, [], [], [], [])
        return self._kept(self._appended(about, nodes, kept, done))

    def _brought_up_to_date(self, index: "VectorIndex", progress: Progress) -> R:
        # Of an index that was removed meanwhile no folder must stay.
        index.refresh()
        with FileLock(self.folder.with_name(f"{self.folder.name}.lock"), timeout=_WAIT_SECONDS):
            loaded = self._load()
            if loaded is None:
                return self._written(index, None, progress)
            wanted = set(index.chunk_ids())
            about = _without(*loaded, set(loaded[0].chunk_ids) - wanted)
            if sum(about.counts) * 2 < about.end:
                return self._written(index, loaded[1], progress)
            new = sorted(wanted - set(about.chunk_ids))
            nodes = _while_it_is_there(index, index.nodes(new))
            return self._kept(self._appended(about, nodes, None, self._told(progress, len(new))))

    def _written(self, index: "VectorIndex", kept: R | None, progress: Progress) -> R:
        """The rows of all chunks, written anew."""
        done = self._told(progress, index.count())
        return self.write(_while_it_is_there(index, index.nodes()), kept=kept, done=done)

    def _told(self, progress: Progress, total: int) -> Callable[[int], None]:
        return lambda chunks: progress(self.step, chunks, total)

    def _appended(
        self,
        about: _About,
        nodes: "Iterable[TextNode]",
        kept: R | None,
        done: Callable[[int], None],
    ) -> _About:
        """What the files hold with the rows of more chunks; they are as before if this fails."""
        chunk_ids, starts, counts = [*about.chunk_ids], [*about.starts], [*about.counts]
        width, end = about.width, about.end
        holding = Counter(dict(enumerate(about.frequencies)))
        with self._opened(about) as files:
            for slab in slabs(nodes, self.slab):
                found = self._columns(slab, kept)
                for name, file in files.items():
                    column = np.concatenate([one[name] for one in found])
                    file.write(np.ascontiguousarray(column, self.kind.COLUMNS[name]).data)
                width = found[0]["rows"].shape[1]
                for node, one in zip(slab, found, strict=True):
                    chunk_ids.append(node.node_id)
                    starts.append(end)
                    counts.append(len(one["scales"]))
                    end += counts[-1]
                    holding.update(_ids(one))
                done(len(chunk_ids) - len(about.chunk_ids))
        frequencies = [holding[token] for token in range(max(holding, default=-1) + 1)]
        return _About(about.stamp, about.files, width, end, chunk_ids, starts, counts, frequencies)

    @contextlib.contextmanager
    def _opened(self, about: _About) -> Iterator[dict[str, BinaryIO]]:
        """The files of the columns, to write behind their rows; cut to these if the block fails."""
        ends = {}
        for name, path in self._paths(about).items():
            path.touch()
            row = np.dtype(self.kind.COLUMNS[name]).itemsize
            ends[path] = about.end * row * (about.width if name == _WIDE else 1)
        try:
            with contextlib.ExitStack() as stack:
                files: dict[str, BinaryIO] = {}
                for name, path in self._paths(about).items():
                    files[name] = stack.enter_context(path.open("r+b"))
                    files[name].seek(ends[path])
                yield files
                for file in files.values():
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            # A full disk gets its room back.
            for path, end in ends.items():
                with contextlib.suppress(OSError):
                    os.truncate(path, end)
            raise

    def _columns(self, nodes: "Sequence[TextNode]", kept: R | None) -> list[Columns]:
        known = [kept.columns(node.node_id) if kept is not None else None for node in nodes]
        new = [node for node, columns in zip(nodes, known, strict=True) if columns is None]
        made = iter(self.rows_of(new) if new else ())
        return [next(made) if columns is None else columns for columns in known]

    def _kept(self, about: _About) -> R:
        """Let the folder be what this says."""
        write_whole(self.folder / _ABOUT, json.dumps(vars(about)))
        named = {_ABOUT, *(path.name for path in self._paths(about).values())}
        for path in self.folder.iterdir():
            if path.name not in named:
                # Some systems do not remove what another process reads; it goes next time.
                with contextlib.suppress(OSError):
                    path.unlink()
        return self._rows(about)

    def _load(self) -> tuple[_About, R] | None:
        """What the files hold, and their rows; None as `load`."""
        try:
            about = _About(**json.loads((self.folder / _ABOUT).read_text("utf-8")))
            return (about, self._rows(about)) if about.stamp == self.stamp else None
        except UNREADABLE:
            return None

    def _rows(self, about: _About) -> R:
        starts, counts = np.array(about.starts, np.int64), np.array(about.counts, np.int64)
        if len(about.chunk_ids) != len(starts) or (starts + counts).max(initial=0) > about.end:
            raise ValueError("half of it")
        # Mapped, not read: a question touches few of the rows.
        columns = {
            name: _mapped(path, self.kind.COLUMNS[name], about, wide=name == _WIDE)
            for name, path in self._paths(about).items()
        }
        if "ids" in columns:
            columns["frequencies"] = np.array(about.frequencies, np.int64)
        return self.kind(about.chunk_ids, starts, counts, **columns)

    def _paths(self, about: _About) -> dict[str, Path]:
        return {name: self.folder / f"{about.files}.{name}" for name in self.kind.COLUMNS}


def _without(about: _About, rows: ChunkRows, gone: set[str]) -> _About:
    """What the files hold, but for some chunks."""
    holding = Counter(dict(enumerate(about.frequencies)))
    for chunk_id in gone:
        holding.subtract(_ids(rows.columns(chunk_id) or {}))
    stay = [n for n, chunk_id in enumerate(about.chunk_ids) if chunk_id not in gone]
    return replace(
        about,
        chunk_ids=[about.chunk_ids[n] for n in stay],
        starts=[about.starts[n] for n in stay],
        counts=[about.counts[n] for n in stay],
        frequencies=[holding[token] for token in range(len(about.frequencies))],
    )


def _while_it_is_there(index: "VectorIndex", nodes: "Iterable[TextNode]") -> "Iterator[TextNode]":
    """Chunks of an index, which must still be there after the last one: nothing may outlive it."""
    yield from nodes
    index.refresh()


def _ids(columns: Columns) -> set[int]:
    """The tokens of one chunk."""
    return set(columns["ids"].tolist()) if "ids" in columns else set()


def _mapped(path: Path, dtype: "npt.DTypeLike", about: _About, *, wide: bool) -> Any:
    """A column; one of no length cannot be mapped."""
    shape = (about.end, about.width) if wide else (about.end,)
    return np.memmap(path, dtype, mode="r", shape=shape) if about.end else np.empty(shape, dtype)
