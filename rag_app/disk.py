"""Files and folders that are there whole, and what a full disk looks like in libraries' errors."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

# As safetensors and Chroma (written in Rust), SQLite, and torch.save say it; the last of them keeps
# the reason to itself.
_FULL = (
    "no space left on device",
    "disk quota exceeded",
    "disk is full",
    "pytorchstreamwriter failed writing",
    "] . unexpected pos ",
)
# The process that writes it: of `write_whole`, and as active.json was written by earlier versions.
_PARTIAL = re.compile(r"\.partial-(\d+)(?:\.[^.]*)?$")
# Chroma writes in pieces of some megabytes, and takes back what it began.
_HARDLY_ANY = 16_000_000


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or a quota on it, is full."""
    text = str(error).lower()
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(
        words in text for words in _FULL
    )


def hardly_any_left(folder: Path) -> bool:
    """Whether the disk of a folder is so full that who failed to write there failed for that."""
    return shutil.disk_usage(folder).free < _HARDLY_ANY


def write_whole(path: Path, text: str) -> None:
    """Write a file beside the one it replaces, then rename it; lines end as the text says.

    What a process left that was killed on the way goes when the next one writes here.
    """
    sweep_partials(path.parent, of=path.name)
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.partial-{os.getpid()}.")
    os.close(handle)
    new = Path(name)
    try:
        new.write_text(text, encoding="utf-8", newline="")
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
def whole_folder(path: Path) -> Iterator[Path]:
    """A name beside the folder's, to be filled by the block; then it takes the folder's place.

    One process at a time may write a folder. What a killed one left goes at the next try.
    """
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        # A full disk gets its room back.
        shutil.rmtree(partial, ignore_errors=True)
