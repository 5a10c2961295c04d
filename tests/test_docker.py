"""The Dockerfile: what it copies is there, what it starts exists, and hadolint finds nothing.

No image is built here: docs/howto/docker.md says what was verified, and how.
"""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from typer.main import get_command

from rag_app.cli.app import build_app
from rag_app.config import ENVIRONMENT_PREFIX, Settings

FILE = (ROOT / "Dockerfile").read_text("utf-8")
LINES = re.sub(r"\\\n\s*", "", FILE)


def values(instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.*)$", LINES, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_sent_to_docker() -> None:
    sources = [
        name
        for line in values("COPY")
        if not line.startswith("--from")
        for name in line.split()[:-1]
    ]
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[1] == "*"
    assert sorted(sources) == sorted(sent)
    for name in sources:
        assert (ROOT / name).exists(), name
    # What the wheel needs of the repository is among it.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], project["project"]["readme"]]
    assert all(any(fnmatch.fnmatch(one, name) for name in sources) for one in needed)
    [extras] = re.findall(r"'\.\[(.*?)\]'", FILE)
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])


def test_it_starts_what_exists_as_an_unprivileged_user() -> None:
    [[entry]], [command] = (map(json.loads, values(name)) for name in ("ENTRYPOINT", "CMD"))
    assert entry == "rag-app"
    application: Any = get_command(build_app())
    known = {flag for one in application.commands[command[0]].params for flag in one.opts}
    assert {one for one in command if one.startswith("--")} <= known
    assert values("USER") == ["10001:10001"]
    [port] = values("EXPOSE")
    assert port == command[command.index("--port") + 1]
    [health] = values("HEALTHCHECK")
    assert f"127.0.0.1:{port}/health" in health
    named = re.findall(rf"\b{ENVIRONMENT_PREFIX}(\w+)", FILE)
    assert {name.lower() for name in named} <= set(Settings.model_fields)
