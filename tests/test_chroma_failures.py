"""A Chroma server that refuses, hangs, dies or is something else: one message, nothing lost."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from chroma_process import chroma_server
from test_cli import run_app
from test_other_processes import INFO

from rag_app.errors import ConfigError, ServerError
from rag_app.index import Catalog, ChromaServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """An HTTP server on loopback that answers each request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def says(status: int, body: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body.encode())

    return answer


def names(url: str | ChromaServer, tmp_path: Path) -> list[str]:
    return Catalog(tmp_path, chroma_url=url, project="shop").names()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_setting(tmp_path: Path, status: int) -> None:
    body = json.dumps({"error": "AuthError", "message": "Forbidden"})
    with serving(says(status, body)) as url, pytest.raises(ServerError) as caught:
        names(url, tmp_path)
    assert f"refuses these credentials ({status})" in str(caught.value)
    assert "RAG_APP_CHROMA_TOKEN" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"), [(200, "<html>hello</html>"), (404, "not found"), (502, "bad gateway")]
)
def test_what_is_no_chroma_is_said_to_be_none(tmp_path: Path, status: int, body: str) -> None:
    with (
        serving(says(status, body)) as url,
        pytest.raises(ServerError, match="is no Chroma server"),
    ):
        names(f"{url}/wrong/path", tmp_path)


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerError, match=r"no answer within 0.2 s.*RAG_APP_CHROMA_TIMEOUT"):
            names(ChromaServer(url, timeout_seconds=0.2), tmp_path)


def test_nobody_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"no Chroma server answers at http://127\.0"):
        names("http://127.0.0.1:9", tmp_path)


@pytest.mark.parametrize(
    "url", ["http://[::1", "localhost:8000", "ftp://x", "http://", "http://x:99999", "http://x?a=1"]
)
def test_an_address_that_is_none_is_refused_before_anything(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"--chroma-url .* is no address of a server"):
        names(url, tmp_path)


def seen_by_server(tmp_path: Path, *flags: str, path: str = "", login: str = "") -> dict[str, str]:
    """The path and the headers of the first request of `index list` with these flags."""
    seen: dict[str, str] = {}

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.setdefault("path", request.path)
        seen.update({name: value for name, value in request.headers.items() if name not in seen})
        says(401, "{}")(request)

    with serving(answer) as url:
        url = url.replace("://", f"://{login}") + path
        ended = run_app("index", "list", "--storage", str(tmp_path), "--chroma-url", url, *flags)
    assert ended.exit_code == 2
    assert not login or login.split(":")[1][:-1] not in ended.stderr
    return seen


def test_flags_reach_the_server(tmp_path: Path) -> None:
    seen = seen_by_server(
        tmp_path,
        *("--chroma-token", "t0ken", "--chroma-header", "X-Proxy: yes"),
        *("--chroma-tenant", "acme", "--chroma-database", "docs"),
        path="/behind/a/proxy",
    )
    assert seen["path"] == "/behind/a/proxy/api/v2/tenants/acme/databases/docs"
    assert (seen["Authorization"], seen["X-Proxy"]) == ("Bearer t0ken", "yes")


def test_a_password_in_the_url_is_basic_authentication_and_never_shown(tmp_path: Path) -> None:
    # base64 of "me:s3cret"
    seen = seen_by_server(tmp_path, login="me:s3cret@")
    assert seen["Authorization"] == "Basic bWU6czNjcmV0"


def test_a_header_that_is_none_is_refused_without_showing_it(tmp_path: Path) -> None:
    flags = ("--chroma-url", "http://x", "--chroma-header", "s3cret")
    ended = run_app("index", "list", "--storage", str(tmp_path), *flags)
    assert (ended.exit_code, "NAME: VALUE" in ended.stderr, "s3cret" in ended.stderr) == (
        2,
        True,
        False,
    )


def test_a_server_that_is_away_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    """It dies in the middle of an answer, once; the request is sent again."""
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        if len(asked) == 2:
            request.send_response(200)
            request.send_header("Content-Length", "100")
            request.end_headers()
            request.wfile.write(b"[")
            request.close_connection = True
            return
        database = {"id": "00000000-0000-0000-0000-000000000000", "name": "d", "tenant": "t"}
        says(200, "[]" if request.path.endswith("collections") else json.dumps(database))(request)

    with serving(answer) as url:
        assert names(url, tmp_path) == []
    assert [path.rpartition("/")[2] for path in asked] == [
        "default_database",
        "collections",
        "collections",
    ]


def test_a_server_that_died_is_one_message_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.index.server.RETRY_SECONDS", (0.1,))
    with chroma_server(tmp_path / "data") as url:
        index = Catalog(tmp_path, chroma_url=url, project="shop").make("words", INFO)
        assert index.count() == 0
        port = int(url.rpartition(":")[2])
    with pytest.raises(ServerError, match=r"no Chroma server answers.*The same command then goes"):
        index.count()
    with chroma_server(tmp_path / "data", port=port):
        assert index.count() == 0
