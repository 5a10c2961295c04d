"""What every command shares: common options, settings, output, and how errors end."""

import functools
import inspect
import re
import shlex
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.models import ArgumentInfo, OptionInfo

from rag_app.cli.flags import COMMON, SERVER_OPTIONS
from rag_app.cli.printing import Span, print_json, print_wrapped, shortened, shown
from rag_app.disk import storage_error
from rag_app.errors import ConfigError, RagAppError
from rag_app.masking import masked

if TYPE_CHECKING:
    from rich.console import Console

    from rag_app.cli.progress import ProgressLines
    from rag_app.config import Settings
    from rag_app.progress import Progress

# The arguments after `rag-app`, as they were typed.
TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())
# They change what is shown, not what is done.
_SHOWING = {"--json", "--quiet", "--debug"}
USER_ERROR = 2
PIPE_WIDTH = 220
INTERRUPTED = 130

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
_TEXT_OF: dict[Any, Any] = {Path: str, Path | None: str | None, list[Path]: list[str]}
# Who asks an empty question is told how to ask one.
_CHECKED_ELSEWHERE = {"question"}
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
        server: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._storage = storage
        self._config = config
        self._server = server
        # What no message may hold.
        self._secrets: list[str] = []
        # So far, on standard output.
        self.lines_said = 0
        self.as_json = as_json
        self.quiet = quiet

    def settings(self, *, asks_hub: bool = False, **flags: Any) -> "Settings":
        """Settings with this command's flags on top; readies the libraries for them.

        Arguments:
            asks_hub: the command itself says that the Hugging Face hub is to be asked.
        """
        from rag_app.config import load_settings
        from rag_app.environment import prepare_environment
        from rag_app.lazy_packages import make_lazy

        settings = load_settings(
            flags={"storage": self._storage, **self._server, **flags}, config_file=self._config
        )
        self._secrets = settings.secrets()
        prepare_environment(offline=settings.offline and not asks_hub)
        make_lazy()
        return settings

    def keep_secret(self, text: str) -> None:
        """Let no message and no traceback show this."""
        self._secrets.append(text)

    @property
    def settings_file(self) -> Path:
        """Where settings are read from, and written to."""
        from rag_app.config import DEFAULT_CONFIG_FILE

        return self._config or Path(DEFAULT_CONFIG_FILE)

    @property
    def command_line(self) -> str:
        """The command line that does the same again, without secrets; empty from a program."""
        typed = [argument for argument in TYPED.get() if argument not in _SHOWING]
        return self.masked(shlex.join(["rag-app", *typed])) if typed else ""

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
        from rag_app.progress import silent

        return silent if self.quiet else self._lines

    @functools.cached_property
    def _lines(self) -> "ProgressLines":
        from rag_app.cli.progress import ProgressLines

        return ProgressLines(self.err)

    def note(self, text: str) -> None:
        """A sentence for the user, on standard error."""
        if not self.quiet:
            self.tell(self.masked(text))

    def tell(self, text: str, *, label: str = "", color: str = "") -> None:
        """Print on standard error, in the place of a bar if one is shown there."""
        self._lines.clear()
        print_wrapped(self.err, text, label=label, color=color)

    def say(
        self,
        text: str,
        *,
        style: str = "",
        label: str = "",
        hang: int = 0,
        most: int | None = None,
    ) -> None:
        """A line of the result, on standard output; a label before it is yellow."""
        self.lines_said += print_wrapped(
            self.out, text, style=style, label=label, color="yellow", hang=hang, most=most
        )

    def say_marked(self, text: str, *, marked: Span, most: int | None = None) -> None:
        """As `say`, with a part of the text in bold."""
        self.lines_said += print_wrapped(self.out, text, marked=marked, most=most)

    def screen_lines(self, taken: int) -> int | None:
        """Lines of the terminal that are left for a result; None where it goes to a file or pipe.

        Arguments:
            taken: lines that something else needs.
        """
        return max(self.out.height - taken, 1) if self.out.is_terminal else None

    def fail(self, error: RagAppError) -> None:
        """What went wrong and what mends it, on standard error; with --json also as an object."""
        text = shortened(self.masked(str(error)))
        self.tell(text, label="error:", color="red")
        self.result({"error": text, "kind": type(error).__name__})

    def warn(self, text: str) -> None:
        """A warning for the user, on standard error, also with --quiet."""
        self.tell(self.masked(text), label="warning:", color="yellow")

    def masked(self, text: str) -> str:
        """A text without passwords in URLs and without the secrets of the settings."""
        return masked(text, self._secrets)

    def result(self, values: dict[str, Any]) -> None:
        """The result as JSON, if it was asked for."""
        if self.as_json:
            print_json(values)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a Typer command of `function(run, ...)`: add the common options, end errors well."""

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        debug = options.pop("debug")
        given = {name: _as_paths(value, wanted[name]) for name, value in options.items()}
        server = {name: given.pop(name) or None for name in SERVER_OPTIONS}
        common = {name: given.pop(name) for name in COMMON_OPTIONS if name != "debug"}
        run = Run(**common, server=server)
        try:
            _refuse_empty(options, wanted)
            function(run, **given)
        except RagAppError as error:
            _fail(run, error, debug=debug)
        except KeyboardInterrupt:
            run.tell("stopped; nothing is lost, the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            trouble = storage_error(error)
            if trouble is None:
                raise
            trouble.__cause__ = error
            _fail(run, trouble, debug=debug)

    own = list(inspect.signature(function).parameters.values())[1:]
    common = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=COMMON_DEFAULTS.get(name),
            annotation=annotation,
        )
        for name, annotation in (*SERVER_OPTIONS.items(), *COMMON_OPTIONS.items())
    ]
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    wanted = {parameter.name: parameter.annotation for parameter in (*keyword, *common)}
    asked = [p.replace(annotation=_as_text(p.annotation)) for p in (*keyword, *common)]
    for parameter in asked:
        _show_brackets(parameter.annotation)
    wrapper.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in asked}
    wrapper.__doc__ = _flowing(inspect.cleandoc(function.__doc__ or ""))
    del wrapper.__wrapped__
    return wrapper


def _as_text(annotation: Any) -> Any:
    """Let Typer hand over a path as it was typed: to Python, "" is the current folder."""
    kind, info = get_args(annotation)
    if kind not in _TEXT_OF:
        return annotation
    if isinstance(info, OptionInfo):
        info.metavar = info.metavar or "PATH"
    return Annotated[_TEXT_OF[kind], info]


def _as_paths(value: Any, annotation: Any) -> Any:
    """What was typed, as what the command takes it for."""
    kind, _ = get_args(annotation)
    if kind not in _TEXT_OF or value is None:
        return value
    return [Path(one) for one in value] if isinstance(value, list) else Path(value)


def _refuse_empty(options: dict[str, Any], annotations: dict[str, Any]) -> None:
    """Refuse "" where a value is expected: a script's variable that was not set.

    Raises:
        ConfigError: names the option.
    """
    for name, value in options.items():
        texts = value if isinstance(value, list | tuple) else [value]
        empty = any(isinstance(text, str) and not text.strip() for text in texts)
        if empty and name not in _CHECKED_ELSEWHERE:
            _, info = get_args(annotations[name])
            argument = name.upper() if isinstance(info, ArgumentInfo) else ""
            flags = [flag for flag in info.param_decls or () if flag.startswith("--")]
            flag = argument or next(iter(flags), f"--{name.replace('_', '-')}")
            mend = "name one" if argument else "give it a value, or leave it out"
            raise ConfigError(f"{flag} is empty; {mend}")


def _flowing(text: str) -> str:
    """Each paragraph on one line: Typer would keep the breaks of the source."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _show_brackets(annotation: Any) -> None:
    """Keep "[default]" in an option's help: Typer takes it for a style, and drops it."""
    for option in getattr(annotation, "__metadata__", ()):
        if option.help:
            option.help = re.sub(r"(?<!\\)\[", r"\\[", option.help)


def _fail(run: Run, error: RagAppError, *, debug: bool) -> None:
    if debug:
        text = run.masked("".join(traceback.format_exception(error)))
        run.err.print(shown(text), soft_wrap=True)
    run.fail(error)
    raise typer.Exit(USER_ERROR) from None
