"""The files that named paths hold: which to read, under which id, and which to leave alone."""

import os
import stat
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rag_app.errors import DocumentError

MAX_FILE_BYTES = 200 * 1024 * 1024
# Of one document: tokenizers hold some 60 bytes for each of its characters, all at once, and end
# the whole process where there is not so much.
MAX_DOCUMENT_CHARACTERS = 12_000_000
# The dot hides a file; Office leaves ~$ files beside what it has open.
_HIDDEN = (".", "~$")
_LINK_OUT = "is a link out of the folder; name what it leads to as well, or copy it in"


class Columns(NamedTuple):
    """What a table calls its questions and answers."""

    question: str = "question"
    answer: str = "answer"


@dataclass(frozen=True)
class Failure:
    """A file that could not be read; `reason` ends the sentence that its path begins."""

    path: Path
    reason: str


def refuse_endless(text: str, *, what: str = "holds a text") -> None:
    """Refuse a text that is too long to be one document.

    Arguments:
        what: begins the reason: "holds a text", "has a cell in line 7".
    Raises:
        DocumentError: it is.
    """
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise DocumentError(endless(what))


def endless(what: str) -> str:
    """Why a text is refused that is too long to be one document."""
    return (
        f"{what} of more than {MAX_DOCUMENT_CHARACTERS // 1_000_000} million characters, too long "
        "for one document; split it into several"
    )


@dataclass(frozen=True)
class Source:
    """One file to read.

    Fields:
        path: absolute.
        id: its folder's name and the path below, NFC: docs/a/b.md; the same on every machine.
        question_column, answer_column: what a table of questions and answers calls them.
        ocr: languages, as tesseract calls them (kor+eng), in which pages without text are read;
            None: they are not.
    """

    path: Path
    id: str
    question_column: str = "question"
    answer_column: str = "answer"
    ocr: str | None = None

    def read_bytes(self) -> bytes:
        """Read the file.

        Raises:
            DocumentError: it is too large, or the system refuses it.
        """
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = b"" if size > MAX_FILE_BYTES else file.read()
        except OSError as error:
            raise DocumentError(_refused(error)) from error
        if size > MAX_FILE_BYTES:
            megabytes = MAX_FILE_BYTES // 1024**2
            raise DocumentError(f"is larger than {megabytes} MB; split it into smaller files")
        return data


@dataclass(frozen=True)
class Found:
    """What named paths hold: files to read, files that cannot be read, files of other kinds.

    Fields:
        empty: named paths that hold nothing to read, with the sentence that says so.
    """

    sources: list[Source] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    empty: dict[Path, str] = field(default_factory=dict)


def find_sources(paths: Sequence[Path], *, suffixes: Collection[str]) -> Found:
    """Find the files to read, sorted by id, each once.

    Hidden files and folders are passed over, links out of a named folder are failures. A file
    that two named paths reach is read once, under the id that begins at the outer one.

    Arguments:
        paths: files and folders; a folder is searched to the bottom.
        suffixes: lower-case suffixes of the files to read.
    Raises:
        DocumentError: two files have one id, or the system refuses a named path.
    """
    if not paths:
        raise DocumentError("nothing to read; name at least one file or folder")
    every = [_search(Path(path), suffixes) for path in paths]
    sources = _each_once([source for found in every for source in found.sources])
    _refuse_shared_ids(sources)
    failures = {failure for found in every for failure in found.failures}
    skipped = {path for found in every for path in found.skipped}
    empty = {path: reason for found in every for path, reason in found.empty.items()}
    failures_by_path = sorted(failures, key=lambda failure: failure.path)
    return Found(sources, failures_by_path, sorted(skipped), empty)


def _search(named: Path, suffixes: Collection[str]) -> Found:
    top = Path(os.path.abspath(named))  # noqa: PTH100 - resolve() would follow a named link
    found = Found()
    if not _exists(named):
        found.empty[top] = f"{named} does not exist; name a file or folder that does"
        return found
    if _is_folder(named):
        base, files, bounds = top.parent, _files_under(top, found), top
    else:
        base, files, bounds = top.parent.parent, iter([top]), None
    for path in files:
        if path.suffix.lower() not in suffixes:
            found.skipped.append(path)
        elif reason := _refusal(path, bounds=bounds):
            found.failures.append(Failure(path, reason))
        else:
            name = unicodedata.normalize("NFC", path.relative_to(base).as_posix())
            found.sources.append(Source(path, name))
    if not found.sources and not found.failures:
        kinds = " ".join(sorted(suffixes))
        found.empty[top] = f"{named} holds no file to read; name files of these kinds: {kinds}"
    return found


def _exists(named: Path) -> bool:
    try:
        named.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # It is there, and why it cannot be read is said where it is opened.
        return True
    return True


def _is_folder(named: Path) -> bool:
    try:
        return stat.S_ISDIR(named.stat().st_mode)
    except OSError as error:
        raise DocumentError(f"{named} {_refused(error)}") from None


def _files_under(top: Path, found: Found) -> Iterator[Path]:
    """Yield the files below a folder; folders that are refused go among the failures."""

    def refuse(error: OSError) -> None:
        found.failures.append(Failure(Path(error.filename), _refused(error)))

    for folder, folders, files in os.walk(top, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        for path in (Path(folder, name) for name in folders):
            if _leads_out(path, top):
                found.failures.append(Failure(path, _LINK_OUT))
        yield from (Path(folder, name) for name in files if not name.startswith(_HIDDEN))


def _leads_out(path: Path, top: Path) -> bool:
    inside = Path(os.path.realpath(top))
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside)


def _refusal(path: Path, *, bounds: Path | None) -> str | None:
    """Say why a file is not to be opened, if so; `bounds`: the folder links must not leave."""
    try:
        str(path).encode("utf-8")
        mode = path.stat().st_mode
    except UnicodeEncodeError:
        return "has a name that is not UTF-8; rename it: convmv -f cp949 -t utf-8 --notest FILE"
    except FileNotFoundError:
        return "is a link to nothing; mend or remove it"
    except OSError as error:
        return _refused(error)
    if bounds and _leads_out(path, bounds):
        return _LINK_OUT
    return None if stat.S_ISREG(mode) else "is not a regular file; remove it"


def _refused(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened: permission denied; allow it: chmod u+rX"
    return f"cannot be opened: {error.strerror or error}; mend or remove it"


def _each_once(sources: Sequence[Source]) -> list[Source]:
    """Keep one source of those that lead to the same file: no link, and from the outermost top."""
    best: dict[str, Source] = {}
    for source in sorted(sources, key=lambda s: (s.path.is_symlink(), -s.id.count("/"), s.id)):
        best.setdefault(os.path.realpath(source.path), source)
    return sorted(best.values(), key=lambda source: source.id)


def _refuse_shared_ids(sources: Sequence[Source]) -> None:
    seen: dict[str, Path] = {}
    for source in sources:
        other = seen.setdefault(source.id, source.path)
        if other == source.path:
            continue
        both = f"{other} and {source.path} would both be called {source.id}"
        if other.parent == source.path.parent:
            raise DocumentError(f"{both}; rename one of them")
        parent = os.path.commonpath([other, source.path])
        raise DocumentError(f"{both}; ingest their common parent {parent} instead")
