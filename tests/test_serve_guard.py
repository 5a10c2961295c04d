"""Who may ask `serve`, how much and how often; and what it says of bad input."""

import json
import re
from collections.abc import Iterator

import pytest

pytest.importorskip("starlette")

from served import client_of, fill, problem
from starlette.testclient import TestClient

from rag_app.index import Workspace
from rag_app.serve.limits import Limits, RateLimit
from rag_app.serve.routes import ROUTES
from rag_app.serve.site import PAGE

TOKEN = "0123456789abcdef"  # noqa: S105 - of a test
JSON = {"content-type": "application/json"}
ASKED = {"question": "when are refunds paid"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return fill(tmp_path_factory.mktemp("guarded"))


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[TestClient]:
    with client_of(workspace) as opened:
        yield opened


@pytest.mark.parametrize("path", [route.path for route in ROUTES if route.method == "POST"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"question": "\\ud800"}', b"{}"]
)
def test_what_is_no_request_is_a_400(client: TestClient, path: str, body: bytes) -> None:
    told = problem(client.post(path, content=body, headers=JSON))
    assert told[0] == 400
    assert told[1] in ("MalformedJSON", "InvalidRequest")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/retrieve", {"question": 3}, "question"),
        ("/retrieve", {"question": ""}, "question"),
        ("/retrieve", {"question": " ?! "}, "question"),
        ("/retrieve", {"question": "a" * 2001}, "question"),
        ("/retrieve", ASKED | {"k": "5"}, "k"),
        ("/retrieve", ASKED | {"k": 0}, "k"),
        ("/retrieve", ASKED | {"k": 101}, "k"),
        ("/retrieve", ASKED | {"k": 2.5}, "k"),
        ("/retrieve", ASKED | {"colour": "red"}, "colour"),
        ("/retrieve", ASKED | {"where": ["a"]}, "where"),
        ("/answer", ASKED | {"stream": "yes"}, "stream"),
        ("/feedback", ASKED | {"chunk": "a", "verdict": "fine"}, "verdict"),
        ("/open", {"chunk": "a", "around": 21}, "around"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", {"input": [101, 7592]}, "input"),
        ("/v1/embeddings", {"input": ["a"] * 257}, "input"),
        ("/v1/embeddings", {"input": ["a", ""]}, "input.1"),
        ("/v1/embeddings", {"input": "a", "input_type": "document"}, "input_type"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ("/v1/chat/completions", {"messages": []}, "messages"),
        ("/v1/chat/completions", {"messages": [{"role": "boss"}]}, "messages.0.role"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": 3}]},
            "messages.0.content",
        ),
    ],
)
def test_a_wrong_field_is_named(
    client: TestClient, path: str, body: dict[str, object], param: str
) -> None:
    response = client.post(path, json=body)
    assert problem(response)[0] == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("given", [[], [101, 7592], [[101], [7592]], ["a"] * 257, None, 3])
def test_what_is_no_text_to_embed_is_told_what_is(client: TestClient, given: object) -> None:
    error = client.post("/v1/embeddings", json={"input": given}).json()["error"]
    assert error["message"] == (
        "input: give a text or a list of 1 to 256 texts, not of token ids; see /openapi.json"
    )


def test_texts_are_limited_in_length(client: TestClient) -> None:
    response = client.post("/v1/embeddings", json={"input": "a" * 32_001})
    assert problem(response)[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/retrieve/", 404),
        ("POST", "/nowhere", 404),
        ("GET", "/retrieve", 405),
        ("DELETE", "/feedback", 405),
        ("OPTIONS", "/retrieve", 405),
        ("GET", "/%00", 404),
        ("GET", "/../pyproject.toml", 404),
        ("GET", "/static/../service.py", 404),
    ],
)
def test_unknown_routes_and_methods(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert problem(response)[0] == status
    assert status != 405 or response.headers["allow"] == "POST"


def test_a_large_body_is_refused_whether_it_says_so_or_not(client: TestClient) -> None:
    large = b'{"question": "' + b"a" * 10_000_000 + b'"}'
    assert problem(client.post("/retrieve", content=large, headers=JSON))[0] == 413

    def pieces() -> Iterator[bytes]:
        yield from (large[at : at + 65536] for at in range(0, len(large), 65536))

    assert problem(client.post("/retrieve", content=pieces(), headers=JSON))[0] == 413
    assert client.post("/retrieve", json=ASKED).status_code == 200


def test_deep_json_and_endless_numbers_are_refused(client: TestClient) -> None:
    for body in (b"[" * 100_000, b'{"question": "a", "k": ' + b"9" * 5000 + b"}"):
        assert problem(client.post("/retrieve", content=body, headers=JSON))[0] == 400


# Who may ask


def test_a_page_of_somebody_else_can_ask_nothing(client: TestClient) -> None:
    """Neither under a name that was made to mean 127.0.0.1, nor with a form."""
    for host in (
        "evil.example",
        "evil.example:8000",
        "",
        "127.0.0.1.evil.example",
        "[",
        "10.0.0.1",
    ):
        response = client.post("/retrieve", json=ASKED, headers={"host": host})
        assert problem(response)[:2] == (403, "ForeignHost")
    for host in ("localhost", "127.0.0.1:9", "[::1]:8000", "LOCALHOST:8000"):
        assert client.post("/retrieve", json=ASKED, headers={"host": host}).status_code == 200
    body = json.dumps(ASKED)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = client.post("/feedback", content=body, headers={"content-type": kind})
        assert problem(response)[:2] == (415, "UnsupportedMediaType")
    asked = client.options(
        "/feedback",
        headers={"origin": "http://evil.example", "access-control-request-method": "POST"},
    )
    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]


def test_a_token_is_asked_for(workspace: Workspace) -> None:
    with client_of(workspace, token=TOKEN) as client:
        for given in (None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer \xff\xfe"):
            headers = {} if given is None else {b"authorization": given.encode("latin-1")}
            response = client.post("/retrieve", json=ASKED, headers=headers)
            assert problem(response)[:2] == (401, "Unauthorized")
            assert response.headers["www-authenticate"] == "Bearer"
        right = {"authorization": f"Bearer {TOKEN}", "host": "rag.example"}
        assert client.post("/retrieve", json=ASKED, headers=right).status_code == 200
        assert problem(client.get("/metrics"))[0] == 401
        assert problem(client.get("/nowhere"))[0] == 401
        for path in ("/", "/health", "/openapi.json"):
            assert client.get(path).status_code == 200


# How often


def test_a_bucket_by_hand() -> None:
    # One a second, ten at once.
    limit = RateLimit(per_minute=60)
    assert [limit.wait("a", now=0.0) for _ in range(11)] == [0] * 10 + [1]
    assert limit.wait("b", now=0.0) == 0
    # Half a second later half a request is there.
    assert (limit.wait("a", now=0.5), limit.wait("a", now=1.5)) == (1, 0)


def test_who_asks_too_often_waits(workspace: Workspace) -> None:
    with client_of(workspace, limits=Limits(per_minute=12)) as client:
        answered = [client.get("/health") for _ in range(3)]
        assert [one.status_code for one in answered] == [200, 200, 429]
        assert problem(answered[-1])[1] == "TooManyRequests"
        assert int(answered[-1].headers["retry-after"]) == 5


def test_too_many_at_once_are_told_to_come_again(workspace: Workspace) -> None:
    with client_of(workspace, limits=Limits(at_once=0)) as client:
        response = client.get("/health")
        assert problem(response)[:2] == (503, "Busy")
        assert response.headers["retry-after"] == "1"


# The page


def test_the_page_lets_only_its_own_script_work(client: TestClient) -> None:
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_page_puts_texts_in_as_text() -> None:
    text = PAGE.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    # Nothing is loaded from elsewhere, and nothing would be let through by the policy inline.
    assert not re.search(r"""(?:src|href)=["'](?!data:)|\son\w+=|\sstyle=""", text)


def test_what_went_wrong_inside_is_not_told(workspace: Workspace) -> None:
    class Broken(Workspace):
        def open(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise RuntimeError("secret path /home/me")

    with client_of(Broken(workspace.storage, embedder=workspace.embedder)) as client:
        told = problem(client.post("/retrieve", json=ASKED))
        assert told[:2] == (500, "InternalError")
        assert "/home" not in told[2]
