"""What `pip wheel .` builds works without the checkout, and leaves the current folder alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from tiny import make_tiny_model
from typer.main import get_command

from rag_app import __version__
from rag_app.cli.app import build_app

pytestmark = pytest.mark.slow

APP = get_command(build_app())
ADMINISTRATIVE = ("index", "runs", "export", "bundle", "doctor", "mcp", "status", "init")
STAGES = [name for name in APP.commands if name not in ADMINISTRATIVE]  # type: ignore[attr-defined]
INNER = [
    [group, name]
    for group, one in APP.commands.items()  # type: ignore[attr-defined]
    for name in getattr(one, "commands", ())
]
COMMANDS = [
    [],
    *([name] for name in [*STAGES, *ADMINISTRATIVE]),
    *INNER,
]
FAQ = {
    "how do i reset my zorb": "press the red button of the zorb for ten seconds and wait for it",
    "where is the blick kept": "the blick is kept in the cupboard under the stairs of the cellar",
    "when does the frond open": "the frond opens at nine in the morning and closes in the evening",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as it is installed from its wheel."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, "wheel", str(ROOT), *build], check=True)
    [wheel] = folder.glob("*.whl")
    into = ["--no-deps", "--no-index", "--target", str(folder / "target")]
    subprocess.run([*pip, "install", str(wheel), *into], check=True)
    return folder / "target"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that everything is run from; it is empty and stays so."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder, with a tiny model and documents beside it."""
    folder = tmp_path_factory.mktemp("own")
    make_tiny_model(folder / "tiny", words=sorted(set(" ".join([*FAQ, *FAQ.values()]).split())))
    rows = [f"{question},{answer}" for question, answer in FAQ.items()]
    (folder / "faq.csv").write_text("\n".join(["question,answer", *rows]), "utf-8")
    (folder / "note.md").write_text(
        "# Snibs\n\nA snib is turned to the left to open it.\n", "utf-8"
    )
    return folder / "storage"


@pytest.fixture(autouse=True)
def nothing_is_left(elsewhere: Path) -> None:
    assert list(elsewhere.iterdir()) == []


def run(target: Path, cwd: Path, *arguments: str) -> str:
    """Standard output of Python where the checkout is not to be found."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(cwd.iterdir()) == []
    return done.stdout


def rag_app(target: Path, cwd: Path, *arguments: str) -> str:
    """Standard output of the installed script."""
    return run(target, cwd, str(target / "bin" / "rag-app"), *arguments)


def test_what_runs_is_the_wheel(target: Path, elsewhere: Path) -> None:
    place = run(target, elsewhere, "-c", "import rag_app; print(rag_app.__file__)")
    assert Path(place.strip()).parent == target / "rag_app"
    assert rag_app(target, elsewhere, "--version") == f"rag-app {__version__}\n"
    # Type checkers of who uses the package read its hints.
    assert (target / "rag_app" / "py.typed").is_file()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(target: Path, elsewhere: Path, command: list[str]) -> None:
    assert " ".join(["rag-app", *command]) in rag_app(target, elsewhere, *command, "--help")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_module(target: Path, elsewhere: Path, stage: str) -> None:
    assert "--storage" in run(target, elsewhere, "-m", f"rag_app.{stage}", "--help")


def test_documents_are_ingested_searched_and_scored(
    target: Path, elsewhere: Path, storage: Path
) -> None:
    beside, place = storage.parent, ("--storage", str(storage), "--json")
    documents = [str(beside / "faq.csv"), str(beside / "note.md")]
    model = ("--model", str(beside / "tiny"))
    made = json.loads(rag_app(target, elsewhere, "ingest", *documents, *model, *place))
    assert made["added"] == 1 + len(FAQ)
    listed = json.loads(rag_app(target, elsewhere, "index", "list", *place))
    assert [index["name"] for index in listed["indexes"]] == [made["index"]]
    found = json.loads(rag_app(target, elsewhere, "query", "-q", next(iter(FAQ)), *place))
    assert next(iter(FAQ.values())) in " ".join(cited["text"] for cited in found["citations"])
    rag_app(target, elsewhere, "evaluate", str(beside / "faq.csv"), *place)
    assert {path.name for path in beside.iterdir()} == {
        "faq.csv",
        "note.md",
        "storage",
        "tiny",
        "tiny.bert",
    }


def test_results_stand_in_the_storage(target: Path, elsewhere: Path, storage: Path) -> None:
    """Not in eval/results, which only a checkout has."""
    ask = (
        "import sys; from rag_app.config import Settings; "
        "print(Settings(storage=sys.argv[1]).results)"
    )
    found = run(target, elsewhere, "-c", ask, str(storage))
    assert Path(found.strip()) == storage / "results"


FIND = """
import sys
from pathlib import Path
from rag_app.chunks import Chunking
from rag_app.evaluate.canary import find_canary
from rag_app.models import EmbeddingModel

canary = find_canary(EmbeddingModel("tiny", Path(sys.argv[1]), device="cpu"), Chunking(), [])
print(canary.name, len(canary.nodes) > 100, len(canary.questions) > 100)
"""


def test_the_canary_is_in_the_wheel(target: Path, elsewhere: Path, storage: Path) -> None:
    found = run(target, elsewhere, "-c", FIND, str(storage.parent / "tiny"))
    assert found == "en True True\n"
    assert (target / "rag_app" / "sample_data" / "ko" / "questions.jsonl").is_file()
