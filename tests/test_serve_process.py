"""`rag-app serve` as a process, with OpenAI's client; what it refuses."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("starlette")

from conftest import ROOT
from openai import OpenAI
from program import Program
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app import extras
from rag_app.cli.app import build_app
from rag_app.errors import ConfigError
from rag_app.serve.server import read_token

HOSTILE = (
    "Refunds are paid <script>document.title='owned'</script> within five days. "
    '<img src=x onerror="document.title=1">'
)
QUESTION = "refunds are paid"
TOKEN = "a-token-of-thirty-two-characters"  # noqa: S105 - of a test


def run_app(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments])


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process")
    make_tiny_model(folder / "tiny", words=QUESTION.split())
    (folder / "docs").mkdir()
    (folder / "docs" / "refunds.txt").write_text(HOSTILE, "utf-8")
    (folder / "docs" / "hours.txt").write_text("The shop is open from nine to six.", "utf-8")
    where = ("--storage", folder / "storage", "--model", folder / "tiny")
    assert run_app("ingest", folder / "docs", *where).exit_code == 0
    return folder / "storage"


def command(storage: Path, *arguments: str) -> list[str]:
    """To serve at a free port, and print the address."""
    return [
        *("serve", "--storage", str(storage), "--port", "0", "--llm", "none", "--json"),
        *arguments,
    ]


def said_by(process: Program | subprocess.Popen[str]) -> dict[str, Any]:
    """What the command prints as soon as it serves."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    values: dict[str, Any] = json.loads(line)
    return values


@pytest.mark.slow
def test_openais_client_a_large_body_and_the_end(storage: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "rag_app", *command(storage)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = said_by(process)
        assert set(said) == {"url", "index", "model", "chunks", "retriever"}
        assert said["chunks"] == 2
        with OpenAI(base_url=f"{said['url']}/v1", api_key="none", max_retries=0) as client:
            embedded = client.embeddings.create(
                input=[QUESTION], model="rag-app", extra_body={"input_type": "query"}
            )
            assert len(embedded.data[0].embedding) == 32
            pieces = client.chat.completions.create(
                model="rag-app", messages=[{"role": "user", "content": QUESTION}], stream=True
            )
            text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
            assert HOSTILE in text
            assert [one.id for one in client.models.list()] == ["rag-app", said["index"]]
        large = httpx.post(
            f"{said['url']}/retrieve",
            content=b"a" * 10_000_000,
            headers={"content-type": "application/json"},
        )
        assert (large.status_code, large.json()["error"]["type"]) == (413, "ContentTooLarge")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr is not None
        rest = process.stderr.read()
        assert "Traceback" not in rest
        assert said["url"] in rest


# What is refused, with what mends it


def test_others_may_ask_only_with_a_token(storage: Path, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "rag.example"):  # noqa: S104 - refused
        done = run_app("serve", "--storage", storage, "--host", host)
        assert done.exit_code == 2
        assert "must know a token" in done.stderr
        assert "--token-file" in done.stderr
    short = tmp_path / "short"
    short.write_text("secret", "utf-8")
    short.chmod(0o600)
    done = run_app("serve", "--storage", storage, "--token-file", short)
    assert (done.exit_code, "shorter than 16 characters" in done.stderr) == (2, True)
    assert "secret" not in done.stderr.replace("import secrets; print(secrets.", "")


def test_a_token_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", "utf-8")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path) == TOKEN
    path.write_text("\n", "utf-8")
    with pytest.raises(ConfigError, match="holds no token"):
        read_token(path)
    for missing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError, match="token"):
            read_token(missing)


@pytest.mark.slow
def test_the_token_of_the_environment_is_asked_for(storage: Path, tmp_path: Path) -> None:
    asked = command(storage, "--host", "0.0.0.0")  # noqa: S104 - with a token
    with Program(*asked, folder=tmp_path, environment={"RAG_APP_TOKEN": TOKEN}) as process:
        url = said_by(process)["url"].replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert httpx.get(f"{url}/about").status_code == 401
        sent = {"authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{url}/about", headers=sent).status_code == 200


def test_a_port_that_is_taken_is_told(storage: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_app("serve", "--storage", storage, "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 2
    assert "name another port with --port" in done.stderr


def test_a_retriever_that_cannot_be_read_is_told(storage: Path) -> None:
    done = run_app("serve", "--storage", storage, "--retriever", "vektor", "--port", "0")
    assert (done.exit_code, "did you mean vector?" in done.stderr) == (2, True)


def test_a_missing_extra_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    for command in ("serve", "mcp"):
        done = run_app(command)
        assert done.exit_code == 2
        assert f"pip install 'rag-app[{command}]'" in done.stderr
