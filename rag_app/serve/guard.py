"""What stands before every route: who may ask, how much, how often; and what is counted."""

import hmac
import ipaddress
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_app.serve.limits import Limits, RateLimit
from rag_app.serve.metrics import Metrics
from rag_app.serve.problems import Refusal

JSON = "application/json"
# What every response says; the page says more of its own script.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = "Content-Security-Policy"
NOTHING = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Fields:
        token: what requests send as `Authorization: Bearer TOKEN`; None: nobody is asked for it.
        open_paths: those that need no token.
        json_paths: those that are sent JSON.
        known_paths: by which requests are counted.
    """

    token: str | None = field(default=None, repr=False)
    open_paths: frozenset[str] = frozenset()
    json_paths: frozenset[str] = frozenset()
    known_paths: frozenset[str] = frozenset()


class Guard:
    """Refuses what may not be asked, and hands on the rest with its whole body.

    Without a token only this machine asks, by a name of its own: a page of somebody else whose
    name was made to mean 127.0.0.1 sends that name along. And such a page can send no JSON
    without asking first, which nothing here answers.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        *,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits or Limits()
        self._rate = RateLimit(per_minute=self._limits.per_minute)
        self._clock = clock
        self.metrics = metrics or Metrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = self._clock(), 500
        self.metrics.under_way += 1

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            await self._serve(scope, receive, sending)
        finally:
            self.metrics.under_way -= 1
            path = scope["path"] if scope["path"] in self._access.known_paths else "other"
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self.metrics.count(method, path, status, self._clock() - started)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope, Headers(scope=scope))
            body = await self._body(receive, Headers(scope=scope))
        except Refusal as refused:
            await refused.response()(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _again(body, receive), send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if self.metrics.under_way > self._limits.at_once:
            raise Refusal(
                503,
                "too many requests are under way; try again",
                "Busy",
                headers={"Retry-After": "1"},
            )
        client = scope.get("client") or ("",)
        if seconds := self._rate.wait(str(client[0]), now=self._clock()):
            raise Refusal(
                429,
                f"more than {self._limits.per_minute} requests a minute; wait {seconds} s",
                "TooManyRequests",
                headers={"Retry-After": str(seconds)},
            )
        self._check_who(scope, headers)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        takes_json = scope["method"] == "POST" and scope["path"] in self._access.json_paths
        if takes_json and kind != JSON:
            raise Refusal(415, f"send the body as Content-Type: {JSON}", "UnsupportedMediaType")

    def _check_who(self, scope: Scope, headers: Headers) -> None:
        token = self._access.token
        if token is None:
            if not is_loopback(_host(headers.get("host", ""))):
                raise Refusal(
                    403,
                    "without a token this server is asked as 127.0.0.1 or localhost",
                    "ForeignHost",
                )
            return
        if scope["path"] in self._access.open_paths:
            return
        given = headers.get("authorization", "").partition(" ")[2].strip()
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
            raise Refusal(
                401,
                "send the server's token as Authorization: Bearer TOKEN",
                "Unauthorized",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def _body(self, receive: Receive, headers: Headers) -> bytes | None:
        """The whole body; None if the client went away."""
        most = self._limits.body_bytes
        with suppress(ValueError):
            if int(headers.get("content-length", "0")) > most:
                raise _too_large(most)
        body = bytearray()
        with anyio.move_on_after(self._limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > most:
                    raise _too_large(most)
                if not message.get("more_body", False):
                    return bytes(body)
        raise Refusal(408, "the body did not arrive in time; send it again", "RequestTimeout")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, without asking anybody.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "a.example")]
    [True, True, True, False, False]
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(header: str) -> str:
    """The host of a Host header, without its port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than {most:,} bytes; send less", "ContentTooLarge")


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(raw=message["headers"])
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault(POLICY, NOTHING)
    message["headers"] = headers.raw


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
