"""Who holds a lock, so that whoever waits for it can be told."""

import json
import os
import platform
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Self

from rag_app.masking import masked

_LONGEST_COMMAND = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock.

    Fields:
        command: its first words, without options: these may hold secrets.
        since: when it took the lock, an ISO 8601 time.
    """

    host: str
    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"`{self.command}`, process {self.pid} on {self.host}, since {self.since}"

    @classmethod
    def this_process(cls) -> Self:
        """This process, as of now."""
        since = datetime.now(tz=UTC).isoformat(" ", "seconds")
        return cls(platform.node() or "an unnamed host", os.getpid(), _command(), since)

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """The holder that was written as JSON; None where it is none."""
        with suppress(ValueError, TypeError):
            return cls(**json.loads(text))
        return None

    def to_json(self) -> str:
        """As JSON, on one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Held:
    """What a lock is of, and what is to be done by who finds it held, for messages.

    Fields:
        doing: what the holder does to it.
    """

    what: str
    mend: str
    doing: str = "is being written by another process"

    @classmethod
    def index(cls, name: str) -> Self:
        """An index that is being written."""
        mend = "wait for it to end, or write to another index with --index NAME"
        return cls(f"index {name!r}", mend)

    def message(self, holder: Holder | None) -> str:
        """What to tell who may not have it."""
        who = f" ({holder})" if holder else ""
        return f"{self.what} {self.doing}{who}; {self.mend}"


def _command() -> str:
    program, *words = sys.argv or [""]
    named = takewhile(lambda word: not word.startswith("-"), words)
    return masked(" ".join([Path(program).name or "python", *named]))[:_LONGEST_COMMAND]
