"""The loop: a line is a command or a question, and no mistake ends it."""

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from rag_app.cli.asking import Asking
from rag_app.cli.repl.commands import COMMANDS, LEAVE
from rag_app.disk import storage_error
from rag_app.errors import ConfigError, RagAppError


def converse(asking: Asking, history: Path) -> None:
    """Ask and obey until the end of what is typed.

    Arguments:
        history: file that keeps the lines that are typed at a terminal.
    """
    for line in _lines(asking, history):
        if line.strip() in LEAVE:
            return
        try:
            _obey(asking, line)
        except RagAppError as error:
            asking.run.fail(error)
        except OSError as error:
            trouble = storage_error(error)
            if trouble is None:
                raise
            asking.run.fail(trouble)
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            asking.run.note("stopped; the question is forgotten")


def _obey(asking: Asking, line: str) -> None:
    word, _, rest = line.strip().partition(" ")
    if word in COMMANDS:
        COMMANDS[word].do(asking, rest.strip())
    elif word.startswith("/"):
        near = difflib.get_close_matches(word, [*COMMANDS, *LEAVE], n=1)
        mend = f"did you mean {near[0]}?" if near else "/help shows the commands"
        raise ConfigError(f"unknown command {word}; {mend}")
    elif word:
        asking.ask(line)


def _lines(asking: Asking, history: Path) -> Iterator[str]:
    """Lines that are typed, or piped in."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    from rag_app.cli.repl.terminal import typed_lines

    yield from typed_lines(asking, history)
