"""Make docs/reference.md from the code: commands and options, settings, JSON keys.

    python docs/make_reference.py [--check]

Options come from the command line itself, settings from `rag_app.config.Settings`, JSON keys from
docs/json_keys.toml, which tests/test_reference.py holds against real output. `--check` writes
nothing and exits with 1 where the file is out of date.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic_core import PydanticUndefined

from rag_app.cli.app import build_app
from rag_app.config import DEFAULT_CONFIG_FILE, ENVIRONMENT_PREFIX, Settings

FOLDER = Path(__file__).parent
TARGET = FOLDER / "reference.md"
JSON_KEYS: dict[str, dict[str, str]] = tomllib.loads((FOLDER / "json_keys.toml").read_text("utf-8"))
INTRO = """# Reference

Made from the code by `python docs/make_reference.py`; do not edit it by hand.

- [Commands](#commands): every option
- [Settings](#settings): the keys of `rag_app.toml` and of the environment
- [JSON keys](#json-keys): what `--json` prints
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRO, *commands(), *settings(), *json_keys()])


def commands() -> Iterator[str]:
    """A table of options for each command."""
    yield "## Commands\n"
    yield (
        "Defaults stand in brackets. "
        "Exit codes: 0; 2 for an error that you can fix; 130 on Ctrl-C; of "
        "`evaluate --fail-if-worse` also 1 and 3.\n"
    )
    for name, command in each_command(typer.main.get_command(build_app())):
        yield f"### rag-app {name}\n"
        yield " ".join(command.help.split("\n\n")[0].split()) + "\n"
        yield "| option | what it does | group |\n|---|---|---|"
        for parameter in command.params:
            if parameter.name != "help":
                meaning = _cell(parameter.help) + _default(parameter)
                yield f"| {_flags(parameter)} | {meaning} | {_panel(parameter)} |"
        yield ""


def settings() -> Iterator[str]:
    """A table of settings."""
    yield "## Settings\n"
    yield (
        f"Keys of `{DEFAULT_CONFIG_FILE}`; in the environment with `{ENVIRONMENT_PREFIX}` before "
        f"them, in capitals (`{ENVIRONMENT_PREFIX}CHUNK_SIZE=512`). Flags win over the "
        "environment, that over the file, that over the defaults. An unknown key is an error.\n"
    )
    yield "| key | what it is | values | default |\n|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        values = ", ".join(_choices(field.annotation))
        yield f"| `{name}` | {_cell(field.description)} | {values} | {default} |"
    yield ""


def json_keys() -> Iterator[str]:
    """A table of keys for each command that prints a result."""
    yield "## JSON keys\n"
    yield (
        "With `--json` a command prints one object on standard output; everything else goes to "
        'standard error. An error is `{"error": SENTENCE, "kind": CLASS}`. `a[].b` is key `b` of '
        "each object in list `a`; `METRIC` is `hit_rate@1` to `hit_rate@10`, `mrr@10` or "
        "`ndcg@10`. "
        "In Python what `ingest`, `write_questions`, `finetune` and `sweep` return has the same "
        "keys in `to_json()`, save for `report`.\n"
    )
    for command, keys in JSON_KEYS.items():
        yield f"### {command} --json\n"
        yield "| key | what it is |\n|---|---|"
        for key, meaning in keys.items():
            yield f"| `{key}` | {_cell(meaning)} |"
        yield ""


def each_command(group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", one) for inner, one in each_command(command))
        else:
            yield name, command


def _flags(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{flag}`" for flag in sorted(parameter.opts, key=len, reverse=True))


def _default(parameter: Any) -> str:
    """A default that the help text does not name itself."""
    value = parameter.default
    return f" [{value}]" if isinstance(value, int | float | str) and value is not False else ""


def _panel(parameter: Any) -> str:
    return str(getattr(parameter, "rich_help_panel", None) or "")


def _choices(annotation: Any) -> Iterator[str]:
    """The words of a Literal, also inside of a union."""
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield f"`{inner}`"
        else:
            yield from _choices(inner)


def _cell(text: str | None) -> str:
    # Typer needs brackets marked, since rich reads them as a style.
    return " ".join((text or "").replace("\\[", "[").split()).replace("|", "\\|")


def main() -> int:
    """Write the page, or say whether it is out of date."""
    text = reference()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.is_file() or TARGET.read_text("utf-8") != text)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
