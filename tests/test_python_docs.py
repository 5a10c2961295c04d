"""The Python of docs/python.md and of the README is run as it stands."""

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from fake_endpoint import FakeEndpoint, Reply, Request
from samples import copy_sample

import rag_app

PYTHON = (ROOT / "docs" / "python.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
# The address that the document names; here a server that this test starts.
ENDPOINT = "http://localhost:11434/v1"
FOLDERS = ("returns", "billing")
# Of the FAQ: enough to split, few enough to train on in seconds.
ROWS = 40


def blocks(text: str) -> list[str]:
    """The blocks marked as Python."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def hashed(request: Request) -> Reply:
    """Embeddings that count words in 16 places."""
    rows = []
    for number, text in enumerate(request.body["input"]):
        vector = [0.001] * 16
        for word in text.lower().split():
            vector[hashlib.sha256(word.encode()).digest()[0] % 16] += 1.0
        rows.append({"object": "embedding", "index": number, "embedding": vector})
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return Reply({"object": "list", "data": rows, "model": "bge-m3", "usage": usage})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(hashed) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Documents, questions and an FAQ by the names that the document gives them."""
    copy_sample("en", tmp_path / "docs", FOLDERS)
    (tmp_path / "docs" / "questions.jsonl").rename(tmp_path / "questions.jsonl")
    with (ROOT / "data" / "en" / "faq.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[: 1 + ROWS]
    with (tmp_path / "faq.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_blocks_run_in_order(folder: Path, endpoint: FakeEndpoint, single_thread: None) -> None:
    pytest.importorskip("langchain_core")
    known: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(PYTHON), start=1):
        exec(compile(block.replace(ENDPOINT, endpoint.url), f"block {number}", "exec"), known)  # noqa: S102
    assert endpoint.requests
    # The README's is a part of the first one, over what that left.
    for block in blocks(README):
        exec(compile(block, "README", "exec"), known)  # noqa: S102
    assert known["result"].verdict.decision in {"promote", "hold", "reject"}  # type: ignore[attr-defined]


def test_every_public_name_has_its_line() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \w.*\|$", PYTHON, re.MULTILINE)
    assert sorted(listed) == sorted(rag_app.__all__)


def test_the_first_example_is_twenty_lines_of_code() -> None:
    lines = [line.strip() for line in blocks(PYTHON)[0].splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) <= 20
