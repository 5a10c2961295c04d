"""What a terminal would obey, or a program could not read, never reaches one."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from rich.console import Console
from test_cli import run_app

from rag_app.cli.printing import LONGEST_MESSAGE, print_json, shortened
from rag_app.cli.progress import ProgressLines
from rag_app.cli.streams import prepare_streams
from rag_app.errors import ConfigError
from rag_app.masking import masked
from rag_app.text.asked import plain_question

EVIL = "\x1b]0;pwned\x07\x1b[31m\x9b2J\u202e.md\nfake line"


def test_a_file_name_in_the_progress_line_is_harmless() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    progress = ProgressLines(console)
    progress("read", 1, 2, EVIL)
    text = out.getvalue()
    assert "fake line" in text
    assert not set("\x1b\x07\x9b\u202e\n") & set(text)


def test_json_of_anything_is_one_line_of_harmless_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"path": f"{EVIL}\u2028\ud800", "Korean": "환불"}
    print_json(values)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert not set("\x1b\x9b\u202e\u2028") & set(line)
    assert "환불" in line
    assert json.loads(line) == values


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "utf-8"])
def test_no_encoding_of_a_terminal_ends_a_command(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no text are read as halves of characters, which a question is refused for."""
    typed = io.BytesIO("환불\n".encode() + b"\xff\n")
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(typed, encoding))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
    prepare_streams()
    first, second = sys.stdin
    for line in (second, *([] if encoding == "utf-8" else [first])):
        with pytest.raises(ConfigError, match=r"bytes that are no text .*export LC_ALL=C.UTF-8"):
            plain_question(line)
    print_json({"Korean": "환불", "more": "한…😀"})
    assert json.loads(out.getvalue().decode(encoding)) == {"Korean": "환불", "more": "한…😀"}
    Console(file=sys.stdout).print("환불 … 😀")
    sys.stdout.flush()
    shown = {"ascii": r"\ud658\ubd88 \u2026 \U0001f600", "cp949": r"환불 … \U0001f600"}
    assert out.getvalue().decode(encoding).splitlines()[1] == shown.get(encoding, "환불 … 😀")


def test_a_line_of_json_is_there_at_once() -> None:
    """Who reads it through a pipe waits for it, while the process goes on."""
    code = (
        "from rag_app.cli.printing import print_json\n"
        "import time; print_json({'n': 1}); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == '{"n": 1}\n'
        process.kill()


def test_long_messages_lose_their_middle() -> None:
    text = shortened("a" * 5000 + "b" * 5000)
    assert len(text) < LONGEST_MESSAGE + 10
    assert (text[0], text[-1], " [...] " in text) == ("a", "b", True)
    assert shortened("short") == "short"


# Secrets


def test_passwords_in_urls_are_masked_and_addresses_stay() -> None:
    text = "http://me:pa55@host:1/v1 and https://token@host, me@example.org"
    assert masked(text) == "http://***@host:1/v1 and https://***@host, me@example.org"


@pytest.mark.parametrize("flag", ["--debug", "--json"])
def test_no_message_or_traceback_shows_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.setenv("RAG_APP_CHROMA_TOKEN", "t0ps3cret")
    monkeypatch.setenv("RAG_APP_CHROMA_HEADERS", "X-Key: h3aders3cret")
    url = "http://me:urls3cret@127.0.0.1:9"
    done = run_app("index", "list", "--storage", tmp_path, "--chroma-url", url, flag)
    assert done.exit_code == 2
    for secret in ("t0ps3cret", "h3aders3cret", "urls3cret"):
        assert secret not in done.stderr + done.stdout


@pytest.mark.parametrize("line", ["llm_api_key = 123456789", "chroma_token = 123456789"])
def test_a_secret_of_the_wrong_kind_is_not_shown(tmp_path: Path, line: str) -> None:
    settings = tmp_path / "rag_app.toml"
    settings.write_text(line, "utf-8")
    settings.chmod(0o600)
    done = run_app("index", "list", "--config", settings)
    assert (done.exit_code, "123456789" in done.stderr) == (2, False)


def test_a_file_with_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = tmp_path / "rag_app.toml"
    settings.write_text('llm_api_key = "s3cret"', "utf-8")
    settings.chmod(0o644)
    done = run_app("index", "list", "--config", settings, "--storage", tmp_path)
    assert done.exit_code == 2
    assert f"chmod 600 {settings}" in " ".join(done.stderr.split())
    settings.chmod(0o600)
    assert run_app("index", "list", "--config", settings, "--storage", tmp_path).exit_code == 0
