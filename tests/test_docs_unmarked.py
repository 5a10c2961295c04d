"""Blocks of commands that no page marks as run: each is run here, or listed with what it needs.

Files, models, runs and addresses of the reader's are put in the place of the page's, and the models
are tiny. What serves is started, asked and ended.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from conftest import ROOT
from doc_blocks import FENCED, fenced, indented
from fake_endpoint import FakeEndpoint, completion
from program import Program
from reader import Reader
from shop import WORDS, write_documents, write_questions
from test_tune import write_titled_documents
from tiny import make_tiny_cross_encoder, make_tiny_model

from rag_app.pairs.feedback import Feedback, keep_feedback

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("single_thread")]

# Languages of blocks that somebody types; what is indented is typed as well.
TYPED = ("sh", "bash", "console", "python", "py")
# test_readme_ko.py holds README.ko.md's blocks to README.md's.
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("skills/**/*.md"))
    if path.name != "README.ko.md"
)
README, GUIDE, SERVE = "README.md", "docs/guide.md", "docs/serve.md"
# What other tests run: all blocks of a language on a page.
RUN_ELSEWHERE = {
    (README, "sh"): "test_readme.py",
    (GUIDE, "sh"): "test_readme.py",
    (README, "python"): "test_python_docs.py",
    ("docs/python.md", "python"): "test_python_docs.py",
    ("docs/tutorial.md", "sh"): "test_docs_commands.py",
    ("docs/howto/chroma.md", "sh"): "test_docs_commands.py",
    ("docs/howto/endpoint.md", "sh"): "test_docs_commands.py",
    ("docs/howto/from-autorag.md", "sh"): "test_docs_commands.py",
    ("docs/howto/from-autorag.md", "python"): "test_docs_commands.py",
    ("docs/howto/from-llamaindex.md", "sh"): "test_docs_commands.py",
    ("docs/howto/from-llamaindex.md", "python"): "test_docs_commands.py",
    ("docs/howto/korean.md", "sh"): "test_docs_commands.py",
    ("docs/howto/ray.md", "sh"): "test_docs_commands.py",
    ("skills/tune-retrieval/SKILL.md", "sh"): "test_docs_commands.py",
}
# By page and first line of the block.
RUN_HERE = {
    (README, ". .venv/bin/activate"),
    (GUIDE, "rag-app tune docs/ --pairs questions.csv"),
    (GUIDE, "rag-app report                        # the newest run"),
    (GUIDE, "pip install 'rag-app[tensorboard]'"),
    (
        GUIDE,
        "rag-app finetune --pairs questions.jsonl --what reranker"
        " --base cross-encoder/ms-marco-MiniLM-L6-v2",
    ),
    (
        GUIDE,
        "rag-app sweep --questions faq.csv --models A,B,C --chunk-sizes 256"
        " --retriever vector --tune",
    ),
    (GUIDE, "rag-app finetune --pairs feedback"),
    (GUIDE, "rag-app questions --query-log searches.txt --styles question=0.6,keywords=0.4"),
    ("docs/ci.md", "$ cd data/ci"),
    ("docs/tutorial.md", "$ rag-app query"),
    (SERVE, "pip install 'rag-app[serve]'"),
    (SERVE, "curl -s localhost:8000/retrieve -H 'Content-Type: application/json' \\"),
    (SERVE, "from openai import OpenAI"),
    (SERVE, "rag-app finetune --pairs feedback"),
    (SERVE, "python -c 'import secrets; print(secrets.token_urlsafe(32))' > token"),
    (SERVE, "pip install 'rag-app[mcp]'"),
}
NOT_RUN = {
    (README, "make demo"): "installs torch; takes seven minutes",
    (README, "make test"): "is what runs the tests",
    ("docs/tutorial.md", "git clone https://github.com/rag-app/rag-app"): "clones and installs",
    (
        "docs/howto/chroma.md",
        "chroma run --path ./chroma --port 8000",
    ): "the same server is started by test_docs_commands.py, at a free port",
    ("docs/howto/docker.md", "docker build --tag rag-app ."): "needs Docker",
    (
        "docs/howto/docker.md",
        "export RAG_APP_TOKEN=\"$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')\"",
    ): "needs Docker",
    ("docs/howto/gpu.md", "rag-app doctor"): "needs a GPU",
    (
        "docs/howto/gpu.md",
        "torchrun --nproc-per-node 2 -m rag_app.finetune --pairs questions.jsonl",
    ): "needs two GPUs; test_processes.py trains so on CPUs",
    ("docs/howto/korean.md", "pip install 'rag-app[multilingual,korean]'"): "installs",
    ("docs/howto/ray.md", "pip install 'rag-app[ray]'"): "installs",
    (
        "docs/howto/ray.md",
        "ray start --head --port 6379                 # on one machine; on the others:",
    ): "needs several machines",
}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block that somebody types; "" of one that is indented."""
    text = page.read_text("utf-8")
    for language in TYPED:
        yield from ((language, block) for block in fenced(text, language))
    yield from (("", block.strip("\n")) for block in indented(text))


def unaccounted(page: Path, name: str) -> list[str]:
    """First lines of the blocks that are neither run nor listed."""
    firsts = [
        block.splitlines()[0]
        for language, block in blocks(page)
        if (name, language) not in RUN_ELSEWHERE
    ]
    return [first for first in firsts if (name, first) not in RUN_HERE | NOT_RUN.keys()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_listed(page: Path) -> None:
    assert unaccounted(page, str(page.relative_to(ROOT))) == []


def test_what_is_listed_is_there() -> None:
    there = {
        (str(page.relative_to(ROOT)), block.splitlines()[0])
        for page in PAGES
        for _, block in blocks(page)
    }
    assert RUN_HERE | NOT_RUN.keys() <= there
    assert not RUN_HERE & NOT_RUN.keys()
    languages = {(str(page.relative_to(ROOT)), one) for page in PAGES for one, _ in blocks(page)}
    assert RUN_ELSEWHERE.keys() <= languages


def test_pages_write_no_commands_in_another_language() -> None:
    written = {
        language
        for page in PAGES
        for _, language, _ in FENCED.findall(page.read_text("utf-8"))
        if language
    }
    assert written <= {*TYPED, "text", "toml", "yaml", "json"}


def test_a_new_block_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "new.md"
    page.write_text("Text\n\n    rag-app query\n\n```bash\nrag-app mcp\n```\n\n```sh\nls\n```\n")
    assert unaccounted(page, "docs/new.md") == ["ls", "rag-app mcp", "rag-app query"]


def block_of(page: str, first: str) -> str:
    """The block of a page that begins so."""
    assert (page, first) in RUN_HERE
    [found] = [block for _, block in blocks(ROOT / page) if block.startswith(first + "\n")] or [
        block for _, block in blocks(ROOT / page) if block == first
    ]
    return found


def placed(block: str, places: Mapping[str, str]) -> list[str]:
    """Its lines, with what stands for words of the page; those that install are left out."""
    for word, place in places.items():
        assert word in block
        block = block.replace(word, place)
    return [line for line in block.splitlines() if not line.startswith("pip install")]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """With documents, questions and models by the names that the pages give them."""
    reader = Reader(tmp_path, monkeypatch)
    make_tiny_model(tmp_path / "tiny", words=WORDS)
    monkeypatch.setenv("RAG_APP_MODEL", str(tmp_path / "tiny"))
    monkeypatch.setenv("RAG_APP_CHUNK_SIZE", "64")
    monkeypatch.setenv("RAG_APP_CHUNK_OVERLAP", "0")
    monkeypatch.setenv("RAG_APP_LLM", "none")
    write_documents(tmp_path / "docs")
    rows = pd.read_json(write_questions(tmp_path / "questions.jsonl"), lines=True)
    rows["answer"] = [Path(tmp_path, name).read_text("utf-8") for name in rows["document"]]
    for name in ("questions.csv", "faq.csv"):
        rows.to_csv(tmp_path / name, columns=["question", "answer"], index=False)
    return reader


def keep_judgements() -> None:
    """What a reader's judgements of passages leave behind."""
    for row in map(json.loads, Path("questions.jsonl").read_text("utf-8").splitlines()):
        text = Path(row["document"]).read_text("utf-8")
        feedback = Feedback(row["question"], row["document"], 0, len(text), text, "good")
        keep_feedback(Path("storage"), feedback)


@pytest.mark.slow
def test_the_readmes_last_block(reader: Reader) -> None:
    reader.type("rag-app ingest docs --storage storage/demo --quiet")
    [activate, *lines] = block_of(README, ". .venv/bin/activate").splitlines()
    assert activate == ". .venv/bin/activate"
    for line in lines:
        reader.type(line)
    assert "in service" in reader.printed
    assert not Path("storage", "indexes").exists()


VERDICT = re.compile(r"^(promote|hold|reject): ", re.MULTILINE)


@pytest.mark.slow
def test_tune_of_the_guide(reader: Reader) -> None:
    [with_pairs, _] = block_of(GUIDE, "rag-app tune docs/ --pairs questions.csv").splitlines()
    assert VERDICT.search(reader.type(with_pairs))


@pytest.mark.slow
def test_tune_of_the_guide_on_questions_that_are_written(reader: Reader, tmp_path: Path) -> None:
    shutil.rmtree("docs")
    write_titled_documents(tmp_path)
    Path("pages").rename("docs")
    reader.monkeypatch.setenv("RAG_APP_MODEL", "titled")
    [_, without] = block_of(GUIDE, "rag-app tune docs/ --pairs questions.csv").splitlines()
    assert VERDICT.search(reader.type(without))


@pytest.mark.slow
def test_training_and_reports_of_the_guide(reader: Reader, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    reader.type("rag-app ingest docs --quiet")
    judge = make_tiny_cross_encoder(tmp_path / "judge")
    keep_judgements()
    curves = placed(block_of(GUIDE, "pip install 'rag-app[tensorboard]'"), {})
    assert curves.pop() == "tensorboard --logdir storage/curves/tensorboard"
    reranker = next(first for _, first in RUN_HERE if "reranker" in first)
    sweep = next(first for _, first in RUN_HERE if first.startswith("rag-app sweep"))
    feedback = block_of(GUIDE, "rag-app finetune --pairs feedback")
    assert block_of(SERVE, feedback) == feedback
    for line in (
        *curves,
        *placed(block_of(GUIDE, reranker), {"cross-encoder/ms-marco-MiniLM-L6-v2": str(judge)}),
        *placed(block_of(GUIDE, sweep), {"A,B,C": f"{tmp_path / 'tiny'}"}),
        feedback,
    ):
        reader.type(line)
    assert list(Path("storage/curves/tensorboard").iterdir())
    [*others] = sorted(path.name for path in Path("storage/results").glob("finetune-*"))
    pair = " ".join(others[:2])
    lines = placed(
        block_of(GUIDE, "rag-app report                        # the newest run"),
        {"finetune-all-minilm": "finetune-tiny", "A B": pair},
    )
    for line in lines:
        reader.type(line)


@pytest.mark.slow
def test_questions_of_the_guide(reader: Reader) -> None:
    reader.type("rag-app ingest docs --quiet")
    Path("searches.txt").write_text("".join(f"hue{n} item{n}\n" for n in range(6)), "utf-8")
    first = "rag-app questions --query-log searches.txt --styles question=0.6,keywords=0.4"
    [shown, judged] = block_of(GUIDE, first).splitlines()
    # An endpoint that the environment names, as the first line has none.
    reader.monkeypatch.delenv("RAG_APP_LLM")
    with FakeEndpoint(lambda _: completion("which hue1 item1 do you sell")) as endpoint:
        reader.monkeypatch.setenv("RAG_APP_LLM_BASE_URL", endpoint.url)
        reader.monkeypatch.setenv("RAG_APP_LLM_MODEL", "a-model")
        reader.type(shown)
        prompts = [request.prompt for request in endpoint.requests]
        reader.type(judged.replace("https://llm.example/v1", endpoint.url))
        assert len(endpoint.requests) > len(prompts)
    assert any("hue2 item2" in prompt for prompt in prompts)


@pytest.mark.slow
def test_the_gate_of_ci(reader: Reader) -> None:
    block = block_of("docs/ci.md", "$ cd data/ci").replace("\\\n    ", "")
    [enter, ask, _, said] = block.splitlines()
    reader.type(enter.removeprefix("$ "))
    printed = reader.type(ask.removeprefix("$ "), ends_with=1)
    assert said.removesuffix(" ...") in printed


@pytest.mark.slow
def test_the_repl_of_the_tutorial(reader: Reader) -> None:
    reader.type("rag-app ingest docs --quiet")
    [command, *_] = block_of("docs/tutorial.md", "$ rag-app query").splitlines()
    # Standard input is at its end at once, as Ctrl-D does.
    reader.type(command.removeprefix("$ "))


@contextmanager
def serving(line: str, folder: Path) -> Iterator[tuple[Program, str]]:
    """A server as a page starts it, at a free port; yields its address."""
    program, *arguments = line.split("#")[0].split()
    assert program == "rag-app"
    with Program(*arguments, "--port", "0", "--json", folder=folder) as server:
        said = server.stdout.readline()
        assert said, server.stderr.read()
        yield server, json.loads(said)["url"]


def bash(lines: Sequence[str]) -> str:
    """What these lines of a shell print; `python` is the one of the tests."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", "\n".join(lines)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_server_of_its_page(reader: Reader, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    reader.type("rag-app ingest docs --quiet")
    [serve] = placed(block_of(SERVE, "pip install 'rag-app[serve]'"), {})
    curl = block_of(SERVE, "curl -s localhost:8000/retrieve -H 'Content-Type: application/json' \\")
    client = block_of(SERVE, "from openai import OpenAI")
    # The samples, whose categories the page filters by.
    reader.type("rag-app ingest docs data/en/returns --quiet")
    with serving(serve, tmp_path) as (_, url):
        found = json.loads(bash(placed(curl, {"localhost:8000": url.removeprefix("http://")})))
        assert len(found["passages"]) == 3
        code = "\n".join(placed(client, {"http://127.0.0.1:8000": url}))
        names: dict[str, Any] = {}
        exec(compile(code, SERVE, "exec"), names)  # noqa: S102
        names["client"].close()


@pytest.mark.slow
def test_the_server_of_its_page_for_others(reader: Reader, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    reader.type("rag-app ingest docs --quiet")
    first = "python -c 'import secrets; print(secrets.token_urlsafe(32))' > token"
    [*before, serve] = block_of(SERVE, first).splitlines()
    bash(before)
    token = {"Authorization": f"Bearer {Path('token').read_text('utf-8').strip()}"}
    with serving(serve, tmp_path) as (_, url):
        address = re.sub(r"//[^:]+:", "//127.0.0.1:", url)
        answers = [httpx.get(f"{address}/about", headers=headers) for headers in ({}, token)]
    assert [answer.status_code for answer in answers] == [401, 200]


@pytest.mark.slow
def test_the_tools_of_the_servers_page(reader: Reader, tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    reader.type("rag-app ingest docs --quiet")
    [stdio, http] = placed(block_of(SERVE, "pip install 'rag-app[mcp]'"), {})
    with Program(*stdio.split("#")[0].split()[1:], folder=tmp_path) as server:
        server.communicate()
        assert server.returncode == 0
    free = http.split("#")[0].replace("--port 8001", "")
    with serving(free, tmp_path) as (_, url):
        assert httpx.post(url, json={}).status_code == 400
