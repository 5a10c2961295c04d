"""Who follows a page of the documents by its letter."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from samples import copy_data
from typer.testing import CliRunner

from rag_app.cli.app import build_app

# Blocks that a page marks as run.
MARKED = re.compile(r"^( *)```(sh|python)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


class Reader:
    """Who follows a page by its letter, in a folder with a part of the sample data."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.printed = ""
        copy_data(folder / "data")
        monkeypatch.chdir(folder)

    def follow(self, page: Path, *, places: Mapping[str, str] | None = None) -> str:
        """Do what the blocks say; `places` has what stands for a word of the page."""
        text = page.read_text("utf-8")
        for word, place in (places or {}).items():
            assert word in text
            text = text.replace(word, place)
        for indent, language, block in MARKED.findall(text):
            code = re.sub(f"^{indent}", "", block, flags=re.MULTILINE)
            if language == "python":
                exec(compile(code, page.name, "exec"), {"__name__": "__main__"})  # noqa: S102
            else:
                for line in code.splitlines():
                    self.type(line)
        return self.printed

    def type(self, line: str, *, ends_with: int = 0) -> str:
        """A line of a shell; rag-app runs in this process, which has loaded its libraries.

        Returns what was printed by it, if it calls rag-app.
        """
        word, *arguments = shlex.split(line, comments=True) or [""]
        if word == "rag-app":
            done = CliRunner().invoke(build_app(), arguments)
            assert done.exit_code == ends_with, (line, done.output, done.exception)
            self.printed += done.stdout
            return done.stdout
        if word == "export":
            self.monkeypatch.setenv(*arguments[0].split("=", 1))
        elif word == "cd":
            self.monkeypatch.chdir(arguments[0])
        else:
            subprocess.run(["bash", "-euc", line], check=True)
        return ""
