"""docs/reference.md is what the code says, and its JSON keys are those of real runs."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, load_script
from fake_hub import FakeHub
from test_architecture import ORDER
from test_hub import TOKEN, push
from tiny import make_tiny_model
from typer.main import get_command
from typer.testing import CliRunner

from rag_app.cli.app import build_app

THINGS = ("parcel", "refund", "gift", "lamp", "door", "key", "camera", "filter", "card", "bill")
PLACES = ("paris", "seoul", "rome", "oslo")


SCRIPT = load_script("make_reference")
DOCUMENTED: dict[str, dict[str, str]] = SCRIPT.JSON_KEYS


def test_the_reference_is_up_to_date() -> None:
    assert SCRIPT.TARGET.read_text("utf-8") == SCRIPT.reference(), (
        "run `python docs/make_reference.py`"
    )


def test_every_command_with_json_has_its_keys() -> None:
    # Some have several sections: "evaluate", "evaluate --baseline".
    documented = {section.partition(" --")[0] for section in DOCUMENTED}
    commands = SCRIPT.each_command(get_command(build_app()))
    with_json = {
        name for name, one in commands if any("--json" in option.opts for option in one.params)
    }
    assert "status" in with_json
    assert documented == with_json


def run_json(*arguments: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(build_app(), [*map(str, arguments), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert isinstance(values, dict)
    return values


def documents() -> Iterator[tuple[str, str, str]]:
    """Name, question and answer of each."""
    for thing in THINGS:
        for place in PLACES:
            yield (
                f"{thing}-{place}",
                f"where does the {thing} of {place} stay",
                f"In {place} each {thing} lies behind desk {len(thing) * len(place)} until noon.",
            )


def gate_of(asked: Path, kept: Path, *where: str | Path) -> dict[str, Any]:
    """Keyword search against exact search, of which it loses some."""
    run_json("evaluate", asked, "--retriever", "exact", "--out", kept, *where)
    run_json("evaluate", asked, "--retriever", "keyword", "--out", f"{kept}-2", *where)
    return run_json("evaluate", "--outcomes", kept, "--baseline", f"{kept}-2")


def pushed(model: Path, home: Path) -> dict[str, Any]:
    """Pushed to a hub on this machine."""
    with FakeHub(TOKEN) as hub:
        done = push("mine", model, "--json", home=home, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def serving(*arguments: str | Path) -> dict[str, Any]:
    """What a command prints as soon as it serves; here it ends then."""

    def run(app: object, listening: object, *, started: Callable[[], None]) -> None:
        started()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rag_app.serve.server.run", run)
        return run_json(*arguments, "--port", "0", "--llm", "none")


@pytest.fixture(scope="module")
def printed(
    tmp_path_factory: pytest.TempPathFactory, single_thread: None
) -> dict[str, dict[str, Any]]:
    """What each command printed, in one storage."""
    folder = tmp_path_factory.mktemp("reference")
    model = make_tiny_model(folder / "tiny", words=[*THINGS, *PLACES])
    sources = folder / "docs"
    sources.mkdir()
    asked = folder / "questions.jsonl"
    lines = []
    for name, question, answer in documents():
        (sources / f"{name}.md").write_text(answer, "utf-8")
        row = {"question": question, "document": f"{name}.md", "evidence": answer}
        lines.append(json.dumps(row))
    asked.write_text("\n".join(lines), "utf-8")
    (sources / "photo.png").write_bytes(b"")
    (sources / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    canary = folder / "canary.csv"
    answered = [f"{question} today,{answer}" for _, question, answer in documents()]
    canary.write_text("\n".join(["question,answer", *answered]), "utf-8")
    where = ("--storage", folder / "storage")
    kept, bundle = folder / "kept", folder / "bundle.tar.gz"
    opened = ("--storage", folder / "opened")
    few = ("--epochs", "1", "--batch-size", "8", "--canary", canary)
    sizes = ("--chunk-sizes", "16,32", "--chunk-overlaps", "0", "--no-promote")
    return {
        "ingest": (
            made := run_json(
                "ingest",
                sources,
                "--model",
                model,
                "--chunk-size",
                "32",
                "--chunk-overlap",
                "0",
                *where,
            )
        ),
        "tune": run_json(
            *("tune", sources, "--pairs", asked, "--model", model, "--preset", "quick"),
            *("--no-promote", "--storage", folder / "tuned"),
        ),
        "doctor": run_json("doctor", *where),
        "index info": run_json("index", "info", *where),
        "index verify": run_json("index", "verify", *where),
        "index repair": run_json("index", "repair", made["index"], *where),
        "index gc": run_json("index", "gc", *where),
        "questions": run_json("questions", "--llm", "none", "--per-chunk", "1", *where),
        "questions --show": run_json("questions", "--llm", "none", "--show", *where),
        "evaluate": run_json(
            "evaluate", asked, "--retriever", "exact", "--retriever", "keyword", *where
        ),
        "evaluate --baseline": gate_of(asked, kept, *where),
        "export trec": run_json("export", "trec", kept, folder / "trec"),
        "export beir": run_json("export", "beir", asked, folder / "beir", *where),
        "export sentence-transformers": run_json(
            "export", "sentence-transformers", folder / "copy", *where
        ),
        "export onnx": run_json("export", "onnx", folder / "onnx", "--questions", asked, *where),
        "export openvino": run_json(
            "export", "openvino", folder / "tiny-int8", "--questions", asked, *where
        ),
        "export gguf": run_json("export", "gguf", folder / "gguf", *where),
        "export hub": pushed(model, folder),
        "bundle pack": run_json("bundle", "pack", bundle, *where),
        "bundle open": run_json("bundle", "open", bundle, *opened),
        "sweep": run_json("sweep", "--questions", asked, "--retriever", "keyword", *sizes, *where),
        "query": run_json("query", "-q", "where is the lamp", "--llm", "none", "--explain", *where),
        "finetune": run_json("finetune", "--pairs", asked, *few, *where),
        "finetune --what reranker": run_json(
            "finetune", "--pairs", asked, "--what", "reranker", "--epochs", "1", *where
        ),
        "index list": run_json("index", "list", *where),
        "index use": (
            run_json("ingest", sources, "--model", model, "--index", "other", *opened)
            and run_json("index", "use", "other", *opened)
        ),
        "index rollback": run_json("index", "rollback", *opened),
        "index remove": run_json("index", "remove", "other", *opened),
        "status": run_json("status", *where),
        "init": run_json("init", "--config", folder / "made.toml"),
        "serve": serving("serve", *where),
        "mcp --http": serving("mcp", "--http", *where),
        "report": run_json("report", *where),
        "runs list": run_json("runs", "list", *where),
        "runs show": run_json("runs", "show", "finetune-tiny-adapter", *where),
        "runs diff": run_json("runs", "diff", "finetune-tiny-adapter", "sweep", *where),
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", DOCUMENTED)
def test_documented_keys_are_those_of_a_real_run(
    command: str, printed: dict[str, dict[str, Any]]
) -> None:
    known = DOCUMENTED[command]
    found = dict(keys_of(printed[command], known))
    assert sorted(set(found) - set(known)) == [], "not documented"
    lacking = [
        key
        for key, meaning in known.items()
        if key not in found
        and not meaning.startswith("Only ")
        and not inside_of_nothing(key, found)
    ]
    assert lacking == [], "documented, not printed"


def keys_of(value: Any, known: dict[str, str], before: str = "") -> Iterator[tuple[str, Any]]:
    """Each key as the document names it, with a value; opened where keys inside are documented."""
    rows = value if isinstance(value, list) else [value]
    for row in rows:
        for name, inner in row.items():
            # Some keys are called after a metric, though no measure of all metrics.
            is_metric = "@" in name and f"{before}{name}" not in known
            key = before + ("METRIC" if is_metric else name)
            yield key, inner
            within = f"{key}[]." if isinstance(inner, list) else f"{key}."
            if inner and any(one.startswith(within) for one in known):
                yield from keys_of(inner, known, within)


def inside_of_nothing(key: str, found: dict[str, Any]) -> bool:
    """Whether what holds it is an empty list or null in this run, or is left out."""
    parents = [key[:end] for end, letter in enumerate(key) if letter == "."]
    return any(not found.get(parent.removesuffix("[]"), {}) for parent in parents)


def test_the_architecture_names_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ORDER)
    named = re.findall(r"^ *(\w+)(?:\(\))? +([\w/]+\.py)\b", page, re.MULTILINE)
    assert len(named) > 30
    for name, file in named:
        code = (ROOT / "rag_app" / file).read_text("utf-8")
        assert re.search(rf"^ *(def|class) {name}\b", code, re.MULTILINE), (name, file)
