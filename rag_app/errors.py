"""Every error that a user can mend.

    RagAppError
    ├── ConfigError          a setting, flag or file of settings
    ├── DocumentError        one file that cannot be read
    ├── ModelError           an embedding model that is missing or cannot be used
    ├── LanguageModelError   a language model that is missing, dead or misbehaving
    ├── IndexMissing         no index by that name, or none at all
    ├── IndexMismatch        an index made with another model or distance
    ├── IndexLocked          another process writes this index
    ├── IndexBroken          the store behind an index cannot be read
    ├── ServerError          a Chroma server that is away, refuses, or is none
    ├── ClusterError         a Ray cluster that is away, or ends in the middle
    ├── PairsError           question/passage pairs that cannot be used
    │   └── LeakError        the same text on both sides of the split
    ├── TrainingError        training that cannot start or go on
    ├── RunError             a finished run that is missing, or whose files are
    ├── StorageError         disk full, folder not writable
    └── RequestError         a request to `serve`, `mcp` or the REPL for what is not there, or not
                             allowed

A message says what was found, what was expected, and the command or setting that mends it.
Anything else that is raised is a bug and keeps its traceback.
"""

from collections.abc import Iterable


class RagAppError(Exception):
    """Base of the errors that a user can mend; the command line exits with 2 on it.

    >>> try:
    ...     raise IndexMissing("nothing has been ingested yet; run `rag-app ingest PATH` first")
    ... except RagAppError as error:
    ...     print(error)
    nothing has been ingested yet; run `rag-app ingest PATH` first
    """


class ConfigError(RagAppError):
    """A setting that is unknown, out of range, or in a file that cannot be read."""


class DocumentError(RagAppError):
    """One document that cannot be read; ingest reports it and goes on."""


class ModelError(RagAppError):
    """An embedding model that cannot be found, loaded or trained."""


class LanguageModelError(RagAppError):
    """A language model that cannot be found, reached, or understood."""


class IndexMissing(RagAppError):
    """No index by that name, or nothing ingested yet."""


class IndexMismatch(RagAppError):
    """An index whose fingerprint is not that of the model asked for."""


class IndexLocked(RagAppError):
    """An index that another process is writing."""


class IndexBroken(RagAppError):
    """An index whose store cannot be opened."""


class ServerError(RagAppError):
    """A Chroma server that does not answer, refuses, or is something else."""


class ClusterError(RagAppError):
    """A Ray cluster that does not answer, ends before the work does, or has other files."""


class PairsError(RagAppError):
    """Question/passage pairs that cannot be read, matched or split."""


class LeakError(PairsError):
    """A text that stands on more than one side of the split."""


class TrainingError(RagAppError):
    """Training that cannot start or cannot go on."""


class RunError(RagAppError):
    """A finished run that is not there, or whose files are missing or damaged."""


class StorageError(RagAppError):
    """A full disk or a folder that cannot be written."""


class RequestError(RagAppError):
    """A request to `serve`, `mcp` or the REPL that names what is not there, or what it may not."""


def refuse_unknown(name: str, value: object, known: Iterable[str]) -> None:
    """Refuse a value that a setting does not take.

    Raises:
        ConfigError: it is not among those that are known.
    """
    known = tuple(known)
    if value not in known:
        raise ConfigError(f"{name} is {value!r}; it takes one of: {', '.join(known)}")


def first_line(error: Exception) -> str:
    """What a library says of an error, without what follows; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
