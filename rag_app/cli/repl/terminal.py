"""Lines that are typed at a terminal: history, and Tab."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    PathCompleter,
)
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output import create_output

from rag_app.cli.asking import Asking
from rag_app.cli.repl.commands import COMMANDS
from rag_app.disk import make_private
from rag_app.errors import RagAppError
from rag_app.retrieve.filters.completing import complete_where
from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rag_app.query.session import Session


def typed_lines(asking: Asking, history: Path) -> Iterator[str]:
    """Lines as they are typed. Ctrl-C clears the line, Ctrl-D ends; what is pasted is one line."""
    prompt: PromptSession[str] = PromptSession(
        history=_open_history(history, asking.run.warn),
        completer=Commands(asking.session),
        complete_while_typing=False,
        # With results in a file or pipe, the prompt is not to be among them.
        output=create_output(always_prefer_tty=True),
    )
    while True:
        try:
            yield prompt.prompt("ask> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _open_history(path: Path, tell: Callable[[str], None]) -> History:
    """What was typed in earlier runs; kept in memory alone where the file cannot be written."""
    try:
        make_private(path)
    except OSError as error:
        tell(_not_kept(path, error))
        return InMemoryHistory()
    return _KeptHistory(path, tell)


def _not_kept(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"what you type is not kept for the next run: {path} cannot be written ({reason})"


class _KeptHistory(FileHistory):
    """A file that is told of, and passed over, where it cannot be written any more."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        super().__init__(str(path))
        self._path = path
        self._tell: Callable[[str], None] | None = tell

    def store_string(self, string: str) -> None:
        """Append a line."""
        try:
            super().store_string(string)
        except OSError as error:
            if self._tell is not None:
                self._tell(_not_kept(self._path, error))
            # Once is enough.
            self._tell = None


class Commands(Completer):
    """Completes commands and what follows them: filters, indexes, passages, files."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """What the word before the cursor may become."""
        text = document.text_before_cursor.lstrip()
        command, blank, rest = text.partition(" ")
        if not blank:
            yield from _names(command)
        elif command == "/save":
            yield from PathCompleter(expanduser=True).get_completions(Document(rest), event)
        elif command in COMMANDS:
            try:
                yield from self._arguments(command, rest.lstrip())
            except RagAppError:
                # Of an index that cannot be read any more; the command itself will say so.
                return

    def _arguments(self, command: str, typed: str) -> Iterable[Completion]:
        if command == "/where":
            begun = complete_where(typed, self._session.filters())
            return [_completion(choice, begun.typed) for choice in begun.choices]
        choices = COMMANDS[command].choices(self._session)
        return [_completion(one, len(typed)) for one in choices if one.startswith(typed)]


def _names(begun: str) -> Iterator[Completion]:
    """Commands that begin so, with what they do."""
    meanings = {name: command.meaning for name, command in COMMANDS.items()}
    for name, meaning in {**meanings, "/quit": "Leave."}.items():
        if begun.startswith("/") and name.startswith(begun):
            yield Completion(name, -len(begun), display_meta=meaning)


def _completion(choice: str, typed: int) -> Completion:
    """A choice; what a terminal would obey is not shown."""
    return Completion(visible(choice), -typed)
