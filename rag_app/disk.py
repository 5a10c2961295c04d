"""Files and folders that are there whole, and what a full disk looks like in libraries' errors."""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, mkstemp
from typing import Any

from rag_app.errors import StorageError

# As safetensors and Chroma (written in Rust), SQLite, and torch.save say it; the last of them keeps
# the reason to itself.
_FULL = (
    "no space left on device",
    "disk quota exceeded",
    "disk is full",
    "pytorchstreamwriter failed writing",
    "] . unexpected pos ",
)
_READ_ONLY = ("readonly database", "read-only file system")
_DENIED = ("permission denied",)
_ELSEWHERE = "name another folder with --storage"
_TROUBLES = {
    errno.ENOSPC: f"the disk is full; free some space or {_ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up; free some space or {_ELSEWHERE}",
    errno.EROFS: f"it can only be read; {_ELSEWHERE}",
    errno.EACCES: f"permission denied; ask its owner (chmod, chown), or {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of its path is no folder; {_ELSEWHERE}",
    errno.EEXIST: f"something else than a folder is there; {_ELSEWHERE}",
    errno.ENAMETOOLONG: f"the system allows no name so long; {_ELSEWHERE}",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n 4096)",
    errno.EIO: "the disk fails to read or write; look at it (dmesg), and keep the folder",
}
# What a folder that is damaged, half a folder, or another program's raises when it is read.
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError)
# The process that writes it: of `write_whole`, and as active.json was written by earlier versions.
_PARTIAL = re.compile(r"\.partial-(\d+)(?:\.[^.]*)?$")
# Chroma writes in pieces of some megabytes, and takes back what it began.
_HARDLY_ANY = 16_000_000
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or a quota on it, is full."""
    text = str(error).lower()
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(
        words in text for words in _FULL
    )


def storage_error(error: BaseException, *, place: Path | None = None) -> StorageError | None:
    """What the disk has to do with an error, whichever library raised it; None if nothing.

    Arguments:
        place: where it was raised, unless the error itself says so.
    """
    number = error.errno if isinstance(error, OSError) else None
    said = str(error).lower()
    if disk_is_full(error) and number not in _TROUBLES:
        number = errno.ENOSPC
    elif any(words in said for words in _READ_ONLY):
        number = errno.EROFS
    elif number is None and any(words in said for words in _DENIED):
        number = errno.EACCES
    if number not in _TROUBLES:
        return None
    where = getattr(error, "filename", None) or place
    return StorageError(f"{where}: {_TROUBLES[number]}" if where else _TROUBLES[number])


def hardly_any_left(folder: Path) -> bool:
    """Whether the disk of a folder is so full that who failed to write there failed for that."""
    return shutil.disk_usage(folder).free < _HARDLY_ANY


def refuse_unwritable(path: Path, *, is_folder: bool, make_parents: bool = False) -> None:
    """Say now if a file or folder cannot be written there later, after long work.

    Arguments:
        make_parents: whether the folders above will be made where they are missing.
    Raises:
        StorageError: something else than a file (or folder) is there, a folder above is missing,
            or the system does not let us write.
    """
    _refuse_other_kinds(path, is_folder=is_folder)
    place = path if is_folder and path.is_dir() else path.parent
    while make_parents and not place.exists() and place != place.parent:
        place = place.parent
    if not place.exists():
        raise StorageError(
            f"{path} cannot be written: there is no folder {place}; make it (mkdir -p {place}), "
            "or name another place"
        )
    try:
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise _cannot_be_written(path, error.strerror or str(error)) from error


def _refuse_other_kinds(path: Path, *, is_folder: bool) -> None:
    """Refuse to put a file or folder in the place of a device, a pipe, or each other.

    Raises:
        StorageError: one is there, or the system does not let us look.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_be_written(path, error.strerror or str(error)) from error
    fits = stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode)
    if not fits:
        kind = _KINDS.get(stat.S_IFMT(mode), "a device, a pipe or a socket")
        raise _cannot_be_written(path, f"{kind} is there")


def _cannot_be_written(path: Path, reason: str) -> StorageError:
    return StorageError(f"{path} cannot be written: {reason}; name another place")


def write_whole(path: Path, text: str) -> None:
    """Write a file beside the one it replaces, then rename it; lines end as the text says.

    What a link leads to is replaced, not the link. What a process left that was killed on the way
    goes when the next one writes here.

    Raises:
        StorageError: a folder, a device or a pipe is there.
        OSError: as the system says.
    """
    with whole_file(path) as new:
        new.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, values: Any) -> None:
    """Write values as people read them, letters as they are; raises what `write_whole` raises."""
    write_whole(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read; one that is there keeps what it holds.

    Raises:
        OSError: as the system says.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        # A link to a device, such as /dev/null, is others' as well.
        if stat.S_ISREG(os.fstat(handle).st_mode):
            path.chmod(0o600)
    finally:
        os.close(handle)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside this one, to be filled by the block; then it takes its place.

    Raises:
        StorageError: a folder, a device or a pipe is there.
        OSError: as the system says.
    """
    _refuse_other_kinds(path, is_folder=False)
    path = Path(os.path.realpath(path))
    sweep_partials(path.parent, of=path.name)
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.partial-{os.getpid()}.")
    os.close(handle)
    new = Path(name)
    try:
        yield new
        new.chmod(0o644)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def sweep_partials(folder: Path, *, of: str = "") -> None:
    """Remove the half-written files of processes that are dead, of one file or of all here."""
    for path in folder.glob("*.partial-*"):
        owner = _PARTIAL.search(path.name)
        if owner is None or (of and not path.name.startswith(f".{of}.partial-")):
            continue
        if path.is_file() and not _is_alive(int(owner[1])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        # There the call below would end it.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def whole_folder(path: Path, *, hidden: bool = False) -> Iterator[Path]:
    """A name beside the folder's, to be filled by the block; then it takes the folder's place.

    One process at a time may write a folder. What a killed one left goes at the next try.

    Arguments:
        hidden: fill it under a hidden name, where users keep folders of their own.
    Raises:
        StorageError: a file, a device or a pipe is there.
        OSError: as the system says.
    """
    _refuse_other_kinds(path, is_folder=True)
    partial = path.with_name(f"{'.' if hidden else ''}{path.name}.partial")
    old = partial.with_name(f"{partial.name}.old")
    _remove(partial, old)
    try:
        yield partial
        if path.exists():
            path.rename(old)
        partial.rename(path)
    finally:
        # A full disk gets its room back.
        _remove(partial, old)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
