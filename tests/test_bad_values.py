"""Values that no command can use: one message, exit 2, before any long work."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from test_cli import run_app, write_documents
from tiny import make_tiny_model

from rag_app.cli.printing import LONGEST_MESSAGE
from rag_app.errors import ConfigError
from rag_app.models.device import choose_device

LONG = "a" * 5000
DEEP = 3000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an index of a tiny model, and files of questions."""
    here = tmp_path_factory.mktemp("shop")
    make_tiny_model(here / "storage" / "models" / "tiny")
    shutil.rmtree(here / "storage" / "models" / "tiny.bert", ignore_errors=True)
    write_documents(here / "docs")
    before = Path.cwd()
    os.chdir(here)
    done = run_app("ingest", "docs", "--model", "tiny", "--quiet")
    assert done.exit_code == 0, done.stderr
    rows = [
        {"question": f"when {n}", "document": f"docs/{name}.md"}
        for n in range(8)
        for name in ("refunds", "hours")
    ]
    Path("q.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    Path("one.jsonl").write_text(json.dumps(rows[0]), "utf-8")
    Path("deep.toml").write_text(f"chunk_sizes = {'[' * DEEP}", "utf-8")
    Path("number.toml").write_text("storage = 5", "utf-8")
    os.mkfifo("fifo")
    yield here
    os.chdir(before)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("query", "-q", "\udcff\udcfe hello"), "bytes that are no text"),
        (("query", "-q", "\ud800 hello"), "bytes that are no text"),
        # A question in Korean where the locale is C.
        (("query", "-q", "\udced\udc99\udc98 \udceb\udcb6\udc88?"), "bytes that are no text"),
        (("query", "-q", "hi", "--where", "(" * 2000), "--where cannot be read"),
        (("query", "-q", "hi", "--where", "not " * 2000), "--where cannot be read"),
        (("query", "-q", "hi", "--retriever", LONG), "unknown retriever"),
        (("ingest", f"/{LONG}"), "File name too long"),
        (("index", "list", "--config", "fifo"), "not a regular file"),
        (("sweep", "--questions", "q.jsonl", "--grid", "fifo"), "not a regular file"),
        (("index", "list", "--config", "deep.toml"), "nested too deep"),
        (("sweep", "--questions", "q.jsonl", "--grid", "deep.toml"), "nested too deep"),
        (("index", "list", "--config", "number.toml"), "a path in quotes"),
        (("finetune", "--pairs", "q.jsonl", "--dev-share", "nan"), "--dev-share is nan"),
        (("finetune", "--pairs", "q.jsonl", "--test-share", "inf"), "--test-share is inf"),
        (("finetune", "--pairs", "q.jsonl", "--seed", "9" * 20), "seed: "),
        (("finetune", "--pairs", "q.jsonl", "--learning-rate", "inf"), "--learning-rate is inf"),
        (
            ("finetune", "--pairs", "q.jsonl", "--learning-rate", "1e30"),
            "takes more than 0 and up to 1",
        ),
        (("finetune", "--pairs", "q.jsonl", "--question-column", "x"), "it has: question, doc"),
        (("sweep", "--questions", "q.jsonl", "--chunk-sizes", "128,,256"), "--chunk-sizes is"),
        (("questions", "--out", "/nope/x.jsonl"), "there is no folder /nope"),
        (("questions", "--out", "/dev/full"), "a device, a pipe or a socket is there"),
        (("query", "-q", "hi", "--today", "2024-01-01T00:00"), "without a time"),
        (("index", "list", "--storage", "q.jsonl"), "q.jsonl/active.json: a part of its path"),
        (("ingest", "docs", "--storage", "q.jsonl"), "a part of its path"),
        (("query", "-q", "hi", "--storage", "/dev/null"), "a part of its path"),
        (("ingest", "docs", "--storage", LONG), "no name so long"),
        (("index", "list", "--storage", "s\udcff"), "a path in UTF-8"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_one_message_and_exit_2(made: Path, arguments: tuple[str, ...], says: str) -> None:
    done = run_app(*arguments)
    assert done.exit_code == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    # Nobody's own input is thrown back at length.
    assert len(done.stderr) < LONGEST_MESSAGE + 100


def test_the_place_of_a_mistake_in_a_long_filter_is_shown(made: Path) -> None:
    where = " and ".join(["kind = a"] * 100) + " and and kind = b"
    done = run_app("query", "-q", "hi", "--where", where)
    _, shown, mark = done.stderr.rstrip("\n").split("\n")
    assert shown[mark.index("^") :].startswith("and kind = b")
    assert len(shown) < 230


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(made: Path) -> None:
    done = run_app("finetune", "--pairs", "q.jsonl", "--device", "cuda")
    assert (done.exit_code, "there is none here; there is cpu" in done.stderr) == (2, True)
    with pytest.raises(ConfigError, match=r"--device cuda:1: there is none here; there is cpu"):
        choose_device("cuda:1")


def test_one_question_is_said_to_tell_nothing(made: Path) -> None:
    done = run_app("evaluate", "one.jsonl")
    assert done.exit_code == 0, done.stderr
    assert "one question tells nothing" in done.stderr
