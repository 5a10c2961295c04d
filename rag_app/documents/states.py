"""What a file was when it was read, so that one that is the same is not read again.

As in git's index (racy-git.txt in its documentation): a file whose size, times and inode are those
of before is the same, unless it was written so shortly before that another write could bear the
same time; its content tells then, as it does where any of them differs.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import time_ns

from rag_app.documents.content import DatesDiffer, Value
from rag_app.documents.left_out import LeftOut
from rag_app.documents.sources import Columns

# FAT keeps times to two seconds, and a disk on the network its own clock.
RACY_NS = 3_000_000_000
# Libraries whose version changes what readers make of a file, or whether they can read it.
_LIBRARIES = (
    *("beautifulsoup4", "openpyxl", "pypdfium2", "pyyaml", "py3langid", "mammoth"),
    *("python-pptx", "python-oxmsg", "olefile"),
)


@dataclass(frozen=True, slots=True)
class FileState:
    """A file's state, and when it was looked at.

    Fields:
        sha256: of its content, hex.
        taken_ns: by the clock, before it was read.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str
    taken_ns: int

    @property
    def is_racy(self) -> bool:
        """Whether the file may have been written again without its times showing it."""
        return max(self.mtime_ns, self.ctime_ns) > self.taken_ns - RACY_NS

    def is_of(self, path: Path) -> bool:
        """Whether the file has the same content still."""
        try:
            now = path.stat()
        except OSError:
            return False
        times = (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
        if times == (self.size, self.mtime_ns, self.ctime_ns, self.inode) and not self.is_racy:
            return True
        return now.st_size == self.size and _digest(path) == self.sha256

    def is_still(self, path: Path) -> bool:
        """Whether nothing was written to the file since, which may be a moment ago."""
        now = state_of(path)
        return now is not None and replace(now, taken_ns=self.taken_ns) == self


@dataclass(frozen=True)
class KeptFile:
    """A file as it was read.

    Fields:
        id: that the file had.
        state: None where the file alone does not tell what is read of it.
        documents: that it gave: id -> hash, as chunks carry it; empty where none is known.
        merged, left_out, by_ocr, dates_differ: as `ReadResult` says them.
    """

    id: str
    state: FileState | None
    documents: dict[str, str] = field(default_factory=dict)
    merged: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    by_ocr: list[int] = field(default_factory=list)
    dates_differ: list[DatesDiffer] = field(default_factory=list)


def state_of(path: Path, clock: Callable[[], int] = time_ns) -> FileState | None:
    """The state of a file; None if it cannot be read.

    Arguments:
        clock: nanoseconds since 1970.
    """
    taken = clock()
    try:
        now = path.stat()
    except OSError:
        return None
    digest = _digest(path)
    if digest is None:
        return None
    return FileState(now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, digest, taken)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def reading_key(
    columns: Columns, ocr: str | None = None, metadata: Mapping[str, Value] | None = None
) -> str:
    """Changes with all that decides, besides a file, what is read of it.

    That is the code of the readers, the libraries they use, what tables call their columns, the
    languages of OCR, and the metadata that documents are given.
    """
    given = json.dumps(metadata or {}, sort_keys=True)
    said = "\0".join([*columns, ocr or "", given, *map(_version, _LIBRARIES), _code()])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


@functools.cache
def _code() -> str:
    """A hash of the code that makes documents of files."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    parts = ("documents", "text", "known.py", "chunks.py")
    for part in parts:
        for path in sorted([*(package / part).rglob("*.py"), package / part]):
            if path.is_file():
                digest.update(os.fsencode(path.name) + b"\0" + path.read_bytes())
    return digest.hexdigest()
