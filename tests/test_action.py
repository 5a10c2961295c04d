"""action.yml: its shell is run with its inputs, as GitHub's runner would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from typer.main import get_command

from rag_app.cli.app import build_app

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
GATE = next(step for step in STEPS if step.get("id") == "gate")
DEMO = ROOT / "data" / "ci" / "all-minilm-l6-v2-256-928eef"
EXACT, HYBRID, KEYWORD = (f"{DEMO}-{name}.jsonl" for name in ("exact", "hybrid0.5", "keyword"))

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the action's shell is bash")


def run_gate(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the step that decides, in this folder, with `rag-app` on the path."""
    known = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
    known |= {name.replace("_", "-"): value for name, value in inputs.items()}
    script = folder / "bin" / "rag-app"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rag_app "$@"\n')
    script.chmod(0o755)
    own = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: known[found[1]], value)
        for name, value in GATE["env"].items()
    }
    files = {name: str(folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    path = {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    # As GitHub runs `shell: bash`.
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", GATE["run"]]
    return subprocess.run(
        bash,
        cwd=folder,
        env={**os.environ, **own, **files, **path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("outcomes", "inputs", "found", "exits"),
    [
        (EXACT, {}, 0, 0),
        (KEYWORD, {}, 1, 1),
        (KEYWORD, {"fail_if_worse": "false"}, 1, 0),
        (HYBRID, {}, 3, 0),
        (HYBRID, {"cannot_tell": "fail"}, 3, 3),
        (HYBRID, {"cannot_tell": "fail", "smallest_loss": "0.04"}, 0, 0),
    ],
)
def test_the_job_ends_as_it_was_told_to(
    tmp_path: Path, outcomes: str, inputs: dict[str, str], found: int, exits: int
) -> None:
    done = run_gate(tmp_path, outcomes=outcomes, baseline=EXACT, **inputs)
    assert done.returncode == exits, done.stderr
    assert (tmp_path / "GITHUB_OUTPUT").read_text().splitlines() == [
        f"exit-code={found}",
        "junit=rag-app-gate/gate.xml",
        "markdown=rag-app-gate/gate.md",
    ]
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert summary.startswith("### Retrieval: ")
    assert summary == (tmp_path / "rag-app-gate" / "gate.md").read_text()
    assert "<testsuites>" in (tmp_path / "rag-app-gate" / "gate.xml").read_text()
    assert ("::warning::" in done.stdout) == (found != exits)


def test_a_mistake_fails_the_job_with_its_message(tmp_path: Path) -> None:
    done = run_gate(tmp_path, questions="q.jsonl", baseline="gone")
    assert done.returncode == 2
    assert "--baseline gone: there is no such file or folder" in done.stderr
    assert not (tmp_path / "GITHUB_STEP_SUMMARY").exists()


def test_an_input_is_no_code(tmp_path: Path) -> None:
    done = run_gate(tmp_path, questions='"; touch hacked; "', baseline="$(touch hacked)")
    assert done.returncode == 2
    assert not (tmp_path / "hacked").exists()
    assert "${{" not in "".join(step["run"] for step in STEPS)


def test_its_options_are_those_of_the_command() -> None:
    command: Any = get_command(build_app())
    known = {flag for one in command.commands["evaluate"].params for flag in one.opts}
    asked = set(re.findall(r"--[a-z][a-z-]+", GATE["run"]))
    assert {"--baseline", "--storage", "--index", "--retriever", "--out"} <= asked <= known


def test_docs_ci_names_every_input() -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert named == set(ACTION["inputs"])
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        assert yaml.safe_load(block)
    workflow = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    [step] = [one for one in workflow["jobs"]["gate"]["steps"] if one.get("id") == "gate"]
    assert set(step["with"]) <= set(ACTION["inputs"])
