"""A Chroma server: where it is, how it is asked, and what its failures mean."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from weakref import finalize

import httpx
from chromadb.api import ServerAPI
from chromadb.api.client import Client
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, System

from rag_app.errors import ConfigError, ServerError
from rag_app.index.chroma import ChromaError, NotFoundError, fixed_settings
from rag_app.masking import masked

CONNECT_SECONDS = 10.0
# Between tries of a request that was cut off: all that are sent can be sent twice.
RETRY_SECONDS = (0.2, 1.0, 3.0)
_PORTS = {"http": 8000, "https": 443}


@dataclass(frozen=True)
class ChromaServer:
    """Where a Chroma server is, and as whom it is asked.

    Fields:
        url: http(s)://host:port/path; a name and password in it are sent as basic authentication.
        token: sent as a bearer token.
        headers: sent with each request, for servers and proxies that want something else.
        timeout_seconds: for one answer.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        self.parts()

    def __str__(self) -> str:
        return masked(self.url)

    def parts(self) -> SplitResult:
        """The URL's parts.

        Raises:
            ConfigError: it is none that a server can have.
        """
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment:
            raise ConfigError(
                f"--chroma-url {self} is no address of a server; write it as http://HOST:PORT"
            )
        return parts

    def credentials(self) -> dict[str, str]:
        """The headers that say who asks."""
        parts = self.parts()
        sent = {}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            sent["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        return {**sent, **self.headers}


def connect(server: ChromaServer) -> Any:
    """A client of a server, which has answered.

    Raises:
        ServerError: it is away, refuses, or has no such tenant or database.
    """
    parts = server.parts()
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    place = f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}{parts.path.rstrip('/')}"
    system = System(
        fixed_settings(
            chroma_api_impl="chromadb.api.fastapi.FastAPI",
            # With a scheme it is taken for a whole address, path and port included.
            chroma_server_host=place,
            chroma_server_http_port=parts.port or _PORTS[parts.scheme],
            chroma_server_ssl_enabled=parts.scheme == "https",
            chroma_server_headers=server.credentials(),
        )
    )
    api = system.instance(ServerAPI)
    # Chroma (1.5) waits for ever, follows the environment's proxies, and has no setting for either.
    api._session = httpx.Client(
        headers=api._session.headers,
        timeout=httpx.Timeout(server.timeout_seconds, connect=CONNECT_SECONDS),
        transport=_Transport(server),
        trust_env=False,
    )
    finalize(api, api._session.close)
    client = _Client(api, server)
    try:
        api.get_database(server.database, tenant=server.tenant)
    except NotFoundError as error:
        raise ServerError(
            f"the Chroma server at {server} has no database {server.database!r} of the tenant "
            f"{server.tenant!r}; correct --chroma-database and --chroma-tenant"
        ) from error
    except (ChromaError, ValueError, KeyError) as error:
        raise ServerError(f"{_no_chroma(server)} ({error})") from error
    return client


class _Client(Client):
    """Chroma's client over a connection that is there; its own constructor opens another one."""

    def __init__(self, api: Any, server: ChromaServer) -> None:
        self.tenant = server.tenant
        self.database = server.database
        self._server = api


class _Transport(httpx.BaseTransport):
    """Sends requests once more where a server that has answered is away, and tells why in words."""

    def __init__(self, server: ChromaServer) -> None:
        self._server = server
        self._sending = httpx.HTTPTransport()
        self._has_answered = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            ServerError: it cannot be sent, or the answer is none of Chroma's.
        """
        waits = iter(RETRY_SECONDS if self._has_answered else ())
        while True:
            try:
                response = self._sending.handle_request(request)
                response.read()
                break
            except httpx.TimeoutException as error:
                raise ServerError(
                    f"the Chroma server at {self._server} gave no answer within "
                    f"{self._server.timeout_seconds:g} s; look at it, or raise "
                    "RAG_APP_CHROMA_TIMEOUT"
                ) from error
            except httpx.TransportError as error:
                if (wait := next(waits, None)) is None:
                    raise ServerError(_unreachable(self._server, error)) from error
                time.sleep(wait)
        self._has_answered = True
        _check(response, self._server)
        return response

    def close(self) -> None:
        """Close its connections."""
        self._sending.close()


def _check(response: httpx.Response, server: ChromaServer) -> None:
    """Refuse what a client cannot make sense of; Chroma's own errors are its own affair.

    Raises:
        ServerError: says what the server answers and which setting to look at.
    """
    status = response.status_code
    if status in (401, 403):
        raise ServerError(
            f"the Chroma server at {server} refuses these credentials ({status}); set "
            "RAG_APP_CHROMA_TOKEN, or name a header with --chroma-header 'NAME: VALUE'"
        )
    if not _is_chromas(response):
        raise ServerError(f"{_no_chroma(server)} ({status})")


def _is_chromas(response: httpx.Response) -> bool:
    """Whether an answer is JSON, and a failure names Chroma's error."""
    try:
        said = response.json()
    except ValueError:
        return False
    return response.is_success or (isinstance(said, dict) and "error" in said)


def _unreachable(server: ChromaServer, error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"the certificate of the Chroma server at {server} is not trusted ({error}); name the "
            "file of the authority that signed it in SSL_CERT_FILE"
        )
    return (
        f"no Chroma server answers at {server} ({error}); start one with `chroma run`, correct "
        "--chroma-url, or leave it out. The same command then goes on"
    )


def _no_chroma(server: ChromaServer) -> str:
    return f"what answers at {server} is no Chroma server; correct --chroma-url, its path included"
