"""What every command shares: common options, settings, output, and how errors end."""

import errno
import functools
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.flags import COMMON
from rag_app.cli.printing import Span, print_wrapped
from rag_app.disk import disk_is_full
from rag_app.errors import RagAppError, StorageError

if TYPE_CHECKING:
    from rich.console import Console

    from rag_app.config import Settings
    from rag_app.progress import Progress

USER_ERROR = 2
PIPE_WIDTH = 220
INTERRUPTED = 130

DISK_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space or name another folder with --storage",
    errno.EDQUOT: "the disk quota is used up; free some space or name another --storage",
    errno.EROFS: "the disk is read-only; name another folder with --storage",
    errno.EACCES: "permission denied; name a folder that you may write with --storage",
}

COMMON_OPTIONS: dict[str, Any] = {
    "storage": Annotated[
        Path | None,
        typer.Option(
            help="Folder for indexes, models, questions and results. [storage]",
            rich_help_panel=COMMON,
        ),
    ],
    "config": Annotated[
        Path | None, typer.Option(help="Settings file. [./rag_app.toml]", rich_help_panel=COMMON)
    ],
    "as_json": Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object on standard output, all else on standard error.",
            rich_help_panel=COMMON,
        ),
    ],
    "quiet": Annotated[
        bool, typer.Option("--quiet", help="Show no progress.", rich_help_panel=COMMON)
    ],
    "debug": Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=COMMON),
    ],
}
COMMON_DEFAULTS: dict[str, Any] = {"as_json": False, "quiet": False, "debug": False}


class Run:
    """One run of a command: its settings, and where its words go.

    Results go to standard output; progress, notes and errors to standard error. With --json,
    standard output carries one JSON object and nothing else.
    """

    def __init__(
        self,
        *,
        storage: Path | None,
        config: Path | None,
        as_json: bool,
        quiet: bool,
    ) -> None:
        self._storage = storage
        self._config = config
        self.as_json = as_json
        self.quiet = quiet

    def settings(self, **flags: Any) -> "Settings":
        """Settings with this command's flags on top; readies the libraries for them."""
        from rag_app.config import load_settings
        from rag_app.environment import prepare_environment

        settings = load_settings(
            flags={"storage": self._storage, **flags}, config_file=self._config
        )
        prepare_environment(offline=settings.offline)
        return settings

    @property
    def settings_file(self) -> Path:
        """Where settings are read from, and written to."""
        from rag_app.config import DEFAULT_CONFIG_FILE

        return self._config or Path(DEFAULT_CONFIG_FILE)

    @functools.cached_property
    def out(self) -> "Console":
        """Where results go."""
        from rich.console import Console

        console = Console(stderr=self.as_json, highlight=False)
        if not console.is_terminal:
            # Tables in a log or a pipe keep their lines.
            console.width = max(console.width, PIPE_WIDTH)
        return console

    @functools.cached_property
    def err(self) -> "Console":
        """Where notes go."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    @functools.cached_property
    def progress(self) -> "Progress":
        """Shows how far long work is, unless --quiet."""
        from rag_app.cli.progress import ProgressLines
        from rag_app.progress import silent

        return silent if self.quiet else ProgressLines(self.err)

    def note(self, text: str) -> None:
        """A sentence for the user, on standard error."""
        if not self.quiet:
            print_wrapped(self.err, text)

    def say(self, text: str, *, style: str = "", label: str = "", hang: int = 0) -> None:
        """A line of the result, on standard output; a label before it is yellow."""
        print_wrapped(self.out, text, style=style, label=label, color="yellow", hang=hang)

    def say_marked(self, text: str, *, marked: Span) -> None:
        """As `say`, with a part of the text in bold."""
        print_wrapped(self.out, text, marked=marked)

    def fail(self, error: RagAppError) -> None:
        """What went wrong and what mends it, on standard error."""
        print_wrapped(self.err, str(error), label="error:", color="red")

    def warn(self, text: str) -> None:
        """A warning for the user, on standard error, also with --quiet."""
        print_wrapped(self.err, text, label="warning:", color="yellow")

    def result(self, values: dict[str, Any]) -> None:
        """The result as JSON, if it was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a Typer command of `function(run, ...)`: add the common options, end errors well."""

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        debug = options.pop("debug")
        run = Run(**{name: options.pop(name) for name in COMMON_OPTIONS if name != "debug"})
        try:
            function(run, **options)
        except RagAppError as error:
            _fail(run, error, debug=debug)
        except KeyboardInterrupt:
            print_wrapped(run.err, "stopped; nothing is lost, the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            trouble = _disk_trouble(error)
            if trouble is None:
                raise
            _fail(run, trouble, debug=debug)

    own = list(inspect.signature(function).parameters.values())[1:]
    common = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=COMMON_DEFAULTS.get(name),
            annotation=annotation,
        )
        for name, annotation in COMMON_OPTIONS.items()
    ]
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    for parameter in (*keyword, *common):
        _show_brackets(parameter.annotation)
    wrapper.__signature__ = inspect.Signature([*keyword, *common])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in [*keyword, *common]}
    wrapper.__doc__ = _flowing(inspect.cleandoc(function.__doc__ or ""))
    del wrapper.__wrapped__
    return wrapper


def _flowing(text: str) -> str:
    """Each paragraph on one line: Typer would keep the breaks of the source."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _show_brackets(annotation: Any) -> None:
    """Keep "[default]" in an option's help: Typer takes it for a style, and drops it."""
    for option in getattr(annotation, "__metadata__", ()):
        if option.help:
            option.help = re.sub(r"(?<!\\)\[", r"\\[", option.help)


def _disk_trouble(error: Exception) -> StorageError | None:
    """What the disk has to do with an error, whichever library raised it; None if nothing."""
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    if number not in DISK_ERRORS and disk_is_full(error):
        number = errno.ENOSPC
    if number not in DISK_ERRORS:
        return None
    place = getattr(error, "filename", None)
    return StorageError(f"{place}: {DISK_ERRORS[number]}" if place else DISK_ERRORS[number])


def _fail(run: Run, error: RagAppError, *, debug: bool) -> None:
    if debug:
        raise error
    run.fail(error)
    run.result({"error": str(error), "kind": type(error).__name__})
    raise typer.Exit(USER_ERROR) from None
