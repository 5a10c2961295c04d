"""What was typed wrongly, told as any other error: one line, an exit code of 2, JSON on request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from rag_app.cli.printing import print_json, print_wrapped, shortened
from rag_app.cli.run import TYPED, USER_ERROR

# Typer exports the error of a bad value alone, not what it shares with the others.
UsageError: Any = typer.BadParameter.__base__


class ReportingGroup(TyperGroup):
    """A group of commands; with --json among the arguments an unknown option is told as JSON."""

    as_json = False

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Read the arguments before the command's name."""
        self.as_json = "--json" in args
        TYPED.set(tuple(args))
        with _reported(as_json=self.as_json):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Read the command's arguments, and run it."""
        with _reported(as_json=self.as_json):
            return super().invoke(ctx)


@contextmanager
def _reported(*, as_json: bool) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        # Typer's way to show the help where nothing was typed.
        if "NoArgsIsHelp" in type(error).__name__:
            raise
        _report(error, as_json=as_json)
        raise typer.Exit(USER_ERROR) from None


def _report(error: Any, *, as_json: bool) -> None:
    from rich.console import Console

    path = error.ctx.command_path.split()[1:] if error.ctx else []
    called = " ".join(["rag-app", *path])
    message = shortened(f"{error.format_message().rstrip('.?')}; see `{called} --help`")
    print_wrapped(Console(stderr=True, highlight=False), message, label="error:", color="red")
    if as_json:
        print_json({"error": message, "kind": "UsageError"})
