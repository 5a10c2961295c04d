"""An OpenAI-compatible endpoint on loopback that answers in capitals."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from local_server import LocalServer


@dataclass
class Reply:
    """What the endpoint sends; a dict goes out as JSON, a list as server-sent events."""

    body: dict[str, Any] | list[dict[str, Any]] | str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])


def completion(text: str, *, finish_reason: str = "stop") -> Reply:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    head = {"id": "1", "created": 1, "model": "m", "object": "chat.completion"}
    return Reply({**head, "choices": [choice]})


def pieces(*texts: str) -> Reply:
    head = {"id": "1", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in texts]
    return Reply([{**head, "choices": [choice]} for choice in choices])


def failure(status: int, message: str, **more: str) -> Reply:
    # Without a wait of its own choice the client would try again only after half a second.
    return Reply({"error": {"message": message, **more}}, status, {"retry-after-ms": "1"})


def in_capitals(request: Request) -> Reply:
    return completion(request.prompt.upper())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class FakeEndpoint(LocalServer):
    """Serves until the with block ends; `requests` holds every chat request that came in."""

    server = _Server

    def __init__(self, answer: Callable[[Request], Reply] = in_capitals) -> None:
        self.answer = answer
        self.models = ["gemma", "qwen"]
        self.requests: list[Request] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"{super().url}/v1"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler_of(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        super().__exit__(kind, error, trace)

    def reply_to(self, request: Request) -> Reply:
        if request.path.endswith("/models"):
            return Reply({"object": "list", "data": [{"id": name} for name in self.models]})
        self.requests.append(request)
        return self.answer(request)


def _handler_of(endpoint: FakeEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(endpoint.reply_to(Request(self.path, dict(self.headers), {})))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._send(endpoint.reply_to(Request(self.path, dict(self.headers), body)))

        def _send(self, reply: Reply) -> None:
            kind, data = _encoded(reply.body)
            self.send_response(reply.status)
            headers = {"content-type": kind, "content-length": str(len(data)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Tests are quiet."""

    return Handler


def _encoded(body: dict[str, Any] | list[dict[str, Any]] | str) -> tuple[str, bytes]:
    if isinstance(body, str):
        return "text/html", body.encode()
    if isinstance(body, dict):
        return "application/json", json.dumps(body).encode()
    events = [json.dumps(event) for event in body] + ["[DONE]"]
    return "text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode()
