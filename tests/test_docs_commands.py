"""The commands of the tutorial, of the how-tos and of the skill are run as they stand.

Of a page the blocks marked `sh` and `python` are run in order, in a folder that looks like a clone
to a user, with a part of the sample data. Where a page needs a server of the reader's, the test
starts one and puts its address in the place of the page's. What is not about scores runs with a
tiny model.
"""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from chroma_process import chroma_server
from conftest import ROOT
from fake_endpoint import FakeEndpoint, completion
from reader import MARKED, Reader
from samples import questions
from tiny import make_tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("single_thread")]

HOWTO = ROOT / "docs" / "howto"
TUTORIAL, SKILL = ROOT / "docs" / "tutorial.md", ROOT / "skills" / "tune-retrieval" / "SKILL.md"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(tmp_path, monkeypatch)


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that embeds in no time, where scores do not matter."""
    model = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    monkeypatch.setenv("RAG_APP_MODEL", str(model))
    monkeypatch.setenv("RAG_APP_CHUNK_SIZE", "64")
    monkeypatch.setenv("RAG_APP_CHUNK_OVERLAP", "0")


def test_the_tutorial(reader: Reader) -> None:
    printed = reader.follow(TUTORIAL)
    assert re.search(r"^(promote|hold|reject): ", printed, re.MULTILINE)


@pytest.mark.usefixtures("tiny")
def test_an_endpoint(reader: Reader) -> None:
    with FakeEndpoint(lambda _: completion("How long may a parcel take?")) as endpoint:
        places = {"http://localhost:11434/v1": endpoint.url}
        reader.follow(HOWTO / "endpoint.md", places=places)
    # Questions for five chunks, and an answer.
    assert len(endpoint.requests) >= 6


@pytest.mark.usefixtures("tiny")
def test_a_chroma_server(reader: Reader, tmp_path: Path) -> None:
    with chroma_server(tmp_path / "server") as url:
        printed = reader.follow(HOWTO / "chroma.md", places={"http://localhost:8000": url})
    assert "support" in printed
    assert list((tmp_path / "storage").rglob("chroma.sqlite3")) == []


@pytest.mark.usefixtures("tiny")
def test_ray(reader: Reader) -> None:
    pytest.importorskip("ray")
    assert "0 failed" in reader.follow(HOWTO / "ray.md")


def dataset_of(folders: Collection[str]) -> dict[str, Any]:
    """Questions of the English sample about these folders, as LlamaIndex's dataset has them."""
    sample = ROOT / "data" / "en"
    rows = questions("en", folders)
    names = sorted({row["document"] for row in rows})
    return {
        "queries": {f"q{number}": row["question"] for number, row in enumerate(rows)},
        "corpus": {name: (sample / name).read_text("utf-8").split("---\n", 2)[2] for name in names},
        "relevant_docs": {f"q{number}": [row["document"]] for number, row in enumerate(rows)},
        "mode": "text",
    }


@pytest.mark.usefixtures("tiny")
def test_from_llamaindex(
    reader: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, held_out = ("returns", "billing", "orders", "hub"), ("account", "care")
    for name, folders in (("train", train), ("val", held_out)):
        text = json.dumps(dataset_of(folders))
        (tmp_path / f"{name}_dataset.json").write_text(text, "utf-8")
    tuned = {'"storage/models/NAME"': "__import__('glob').glob('storage/models/*')[0]"}
    printed = reader.follow(HOWTO / "from-llamaindex.md", places=tuned)
    assert re.search(r"^(promote|hold|reject): ", printed, re.MULTILINE)
    assert capsys.readouterr().out.endswith("Refunds take five days.\n")


@pytest.mark.usefixtures("tiny")
def test_from_autorag(reader: Reader, tmp_path: Path) -> None:
    dataset = dataset_of(("returns", "billing", "orders", "hub"))
    passages = [{"doc_id": key, "contents": text} for key, text in dataset["corpus"].items()]
    pd.DataFrame(passages).to_parquet(tmp_path / "corpus.parquet")
    asked = [
        {"qid": key, "query": query, "retrieval_gt": [dataset["relevant_docs"][key]]}
        for key, query in dataset["queries"].items()
    ]
    pd.DataFrame(asked).to_parquet(tmp_path / "qa.parquet")
    printed = reader.follow(HOWTO / "from-autorag.md")
    assert json.loads((tmp_path / "pairs.json").read_text("utf-8")) == dataset
    assert re.search(r"^(promote|hold|reject): ", printed, re.MULTILINE)


def test_pages_without_a_test_have_no_commands() -> None:
    """Those that need what no test has say so, and mark nothing as run."""
    for name in ("gpu.md", "docker.md"):
        page = (HOWTO / name).read_text("utf-8")
        assert MARKED.findall(page) == []
        assert "not run by the tests" in " ".join(page.split())
    others = {"chroma", "endpoint", "from-autorag", "from-llamaindex", "ray"}
    tested = {"docker", "gpu", "korean", *others}
    assert {path.stem for path in HOWTO.glob("*.md")} == tested


def test_a_korean_faq(reader: Reader, tmp_path: Path) -> None:
    """With a tiny model in the place of e5, which takes minutes."""
    model = make_tiny_model(tmp_path / "tiny")
    printed = reader.follow(
        HOWTO / "korean.md", places={"intfloat/multilingual-e5-small": str(model)}
    )
    assert "hybrid:0.4" in printed
    assert re.search(r"^(promote|hold|reject): ", printed, re.MULTILINE)


@pytest.mark.usefixtures("tiny")
def test_the_skill(reader: Reader) -> None:
    printed = reader.follow(SKILL)
    # Each command prints one object.
    [ingested, evaluated, tuned, *others] = map(json.loads, printed.splitlines())
    assert ingested["failed"] == []
    assert isinstance(ingested["left_out"], list)
    assert [run["retriever"] for run in evaluated["runs"]] == ["exact", "hybrid:0.7"]
    assert {"verdict", "differences"} <= set(evaluated["runs"][1]["against_first"])
    assert tuned["verdict"] in {"promote", "hold", "reject"}
    assert len(others) == 4
    # What the skill says to read is there.
    text = SKILL.read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    assert {"verdict", "n", "held_out", "unmatched", "canary", "promoted"} <= named <= set(tuned)
    assert {"mean", "low", "high", "smallest_detectable"} <= set(tuned["differences"]["mrr@10"])


def test_the_skill_has_its_front_matter() -> None:
    _, head, body = SKILL.read_text("utf-8").split("---\n", 2)
    front = yaml.safe_load(head)
    assert set(front) == {"name", "description"}
    assert front["name"] == SKILL.parent.name
    assert re.fullmatch(r"[a-z0-9-]{1,64}", front["name"])
    assert 0 < len(front["description"]) <= 1024
    assert len(body.splitlines()) < 500
