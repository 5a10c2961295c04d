"""Runs an application on a socket, and says who may reach it."""

import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import ConfigError
from rag_app.serve.guard import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
# What can be guessed within the rate limit is no token.
SHORTEST_TOKEN = 16
MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
# Connections that wait for their turn.
BACKLOG = 256


@dataclass(frozen=True)
class Place:
    """Where a server listens, and the token that it asks for.

    >>> Place("127.0.0.1", 8000).url
    'http://127.0.0.1:8000'
    """

    host: str = LOOPBACK
    port: int = 8000
    token: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address for a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def checked_place(place: Place) -> Place:
    """A place that may be listened at.

    Raises:
        ConfigError: other machines could reach it and there is no token, or a token can be guessed.
    """
    if place.token is None:
        if not is_loopback(place.host):
            raise ConfigError(
                f"--host {place.host} lets other machines ask, so they must know a token; make one "
                f"({MAKE_ONE} > token; chmod 600 token) and name it with --token-file token, or "
                "set RAG_APP_TOKEN"
            )
    elif len(place.token) < SHORTEST_TOKEN or not place.token.isascii():
        raise ConfigError(
            f"the token is shorter than {SHORTEST_TOKEN} characters, or not ASCII, and could be "
            f"guessed or not be sent; make one with {MAKE_ONE}"
        )
    return place


def read_token(path: Path) -> str:
    """The token in a file that its owner alone may read.

    Raises:
        ConfigError: there is no such file, others may read it, or it is empty.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8").strip() if stat.S_ISREG(mode) else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--token-file {path} cannot be read: {error}; write one: {MAKE_ONE} > {path}"
        ) from None
    if os.name != "nt" and mode & 0o077:
        raise ConfigError(f"{path} holds a token, and others may read it; run `chmod 600 {path}`")
    if not text:
        raise ConfigError(f"{path} holds no token; write one: {MAKE_ONE} > {path}")
    return text


def bound(place: Place) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: the port is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host, place.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {place.host} port {place.port}: {error.strerror or error}; name "
            "another port with --port, or an address of this machine with --host"
        ) from None


def run(app: "ASGIApp", listening: socket.socket, *, started: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests under way are finished.

    Arguments:
        started: called once requests are answered.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            started()

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        ws="none",
    )
    Server(config).run(sockets=[listening])
