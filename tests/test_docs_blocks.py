"""Commands in blocks that no test can run as they stand: each is one that the program takes.

Those that need a server, a GPU or files of the reader's are read by the command line as they are
typed, and not run: names of commands and options, kinds of values, and what is required.
"""

import contextlib
import re
import shlex

import pytest
import typer
from conftest import ROOT
from doc_blocks import commands, fenced, indented
from typer.core import TyperGroup
from typer.main import get_command

from rag_app.cli.app import build_app

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("skills/**/*.md")])
LANGUAGES = ("sh", "bash", "console", "")
LINES = {
    (str(page.relative_to(ROOT)), line)
    for page in PAGES
    for line in commands(page.read_text("utf-8"), *LANGUAGES)
}


def read(line: str) -> None:
    """Have the command line read a call without running it."""
    app = get_command(build_app())
    name, arguments = "rag-app", shlex.split(line)[1:]
    context = None
    while isinstance(app, TyperGroup) and arguments:
        context = app.make_context(name, list(arguments), parent=context)
        found, command, arguments = app.resolve_command(context, [*arguments])
        assert found is not None
        assert command is not None
        name, app = found, command
    app.make_context(name, arguments, parent=context)


@pytest.mark.parametrize(("page", "line"), sorted(LINES))
def test_the_program_takes_what_a_page_says(page: str, line: str) -> None:
    # --help and --version end while they are read.
    with contextlib.suppress(typer.Exit):
        read(line)


def test_pages_have_such_commands() -> None:
    """The parser finds those in indented blocks, in lists, and behind a prompt."""
    assert ("docs/serve.md", "rag-app mcp --http --port 8001") in LINES
    assert ("docs/howto/gpu.md", "rag-app doctor") in LINES
    assert len(LINES) > 60


TEXT = """
1. A list:

   ```sh
   rag-app doctor
   ```

!!! note

    ```bash
    rag-app index list  # all
    ```

Then

    $ rag-app ingest docs \\
        --quiet > log
    ls

or inline `rag-app query`.
"""


def test_blocks_inside_lists_and_admonitions_are_found() -> None:
    assert fenced(TEXT, "sh") == ["rag-app doctor\n"]
    assert fenced(TEXT, "bash") == ["rag-app index list  # all\n"]
    assert [block.strip().splitlines()[-1] for block in indented(TEXT)] == ["ls"]
    assert list(commands(TEXT, "sh", "bash")) == [
        "rag-app doctor",
        "rag-app index list",
        "rag-app ingest docs --quiet",
    ]


def test_a_command_that_is_not_there_is_noticed() -> None:
    for line in ("rag-app ingst docs", "rag-app ingest docs --chunk-sze 5", "rag-app runs diff A"):
        with pytest.raises(Exception, match=re.compile("no such|missing", re.IGNORECASE)):
            read(line)
