"""A Chroma server behind TLS, whose certificate an authority of one's own has signed."""

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_other_processes import INFO, write

from rag_app.errors import ServerError
from rag_app.index import Catalog


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    key = path.with_name("key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text("ascii") + key.read_text("ascii"), "ascii")
    return path


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        writer.close()
    except (OSError, asyncio.CancelledError):
        writer.transport.abort()


@contextmanager
def behind_tls(url: str, certificate: Path) -> Iterator[str]:
    """A server that speaks TLS and passes everything on to this one; its URL."""
    host, port = url.removeprefix("http://").split(":")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(connect, "127.0.0.1", 0, ssl=context)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


@pytest.fixture
def url(chroma_url: str, certificate: Path) -> Iterator[str]:
    with behind_tls(chroma_url, certificate) as address:
        yield address


def test_an_authority_of_ones_own_is_named_in_the_environment(
    url: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    catalog = Catalog(tmp_path, chroma_url=url)
    write(catalog.make("words", INFO), {"d0": "red apple pie"})
    catalog.put_into_service("words")
    assert [node.text for node in Catalog(tmp_path, chroma_url=url).open().nodes()] == [
        "red apple pie"
    ]


def test_a_certificate_that_is_not_trusted_says_how_to_trust_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"certificate of .*https://127.*SSL_CERT_FILE"):
        Catalog(tmp_path, chroma_url=url).names()
