"""`rag-app mcp`, asked by the SDK's own client."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from conftest import ROOT
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from served import PASSAGES, REFUND, fill, running
from tiny import make_tiny_model
from typer.testing import CliRunner

from rag_app import ingest
from rag_app.cli.app import build_app
from rag_app.serve.asked import Serving
from rag_app.serve.mcp_server import build_mcp, build_mcp_site
from rag_app.serve.service import Service

QUESTION = "when are refunds paid"
TOKEN = "0123456789abcdef"  # noqa: S105 - of a test


def asked(server: Any, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    """What a client finds that is connected to a server."""

    async def connect() -> Any:
        async with Client(server) as client:
            return await ask(client)

    return asyncio.run(connect())


def test_the_tools_find_open_and_answer(tmp_path: Path) -> None:
    async def ask(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"retrieve", "answer", "open"}
        assert tools["retrieve"].input_schema["required"] == ["question"]
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
        found = await client.call_tool("retrieve", {"question": QUESTION, "k": 1})
        values: Any = found.structured_content
        [passage] = values["passages"]
        assert (passage["document"], passage["text"]) == ("refunds", REFUND)
        opened: Any = await client.call_tool("open", {"chunk": passage["chunk"]})
        assert opened.structured_content["text"] == REFUND
        filtered: Any = await client.call_tool(
            "retrieve", {"question": QUESTION, "where": "category = shop"}
        )
        assert len(filtered.structured_content["passages"]) == 2
        answered: Any = await client.call_tool("answer", {"question": QUESTION})
        assert answered.structured_content["answer"] is None
        assert len(answered.structured_content["passages"]) == len(PASSAGES)

    asked(build_mcp(Service(fill(tmp_path), Serving())), ask)


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("retrieve", {"question": " ?! "}, "the question is empty"),
        ("retrieve", {"question": QUESTION, "where": "colour = red"}, "no chunk has the key"),
        ("retrieve", {"question": QUESTION, "k": 0}, "greater than or equal to 1"),
        ("retrieve", {}, "required"),
        ("open", {"chunk": "gone"}, "has no chunk 'gone' any more"),
    ],
)
def test_an_error_is_told_to_the_model(
    tmp_path: Path, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async def ask(client: Client) -> Any:
        return await client.call_tool(tool, arguments)

    told = asked(build_mcp(Service(fill(tmp_path), Serving())), ask)
    assert told.is_error
    assert says in told.content[0].text


def test_nothing_ingested_is_told_with_the_mend(tmp_path: Path) -> None:
    from rag_app.index import Workspace

    async def ask(client: Client) -> Any:
        return await client.call_tool("retrieve", {"question": QUESTION})

    told = asked(build_mcp(Service(Workspace(tmp_path), Serving())), ask)
    assert told.is_error
    assert "rag-app ingest" in told.content[0].text


@pytest.mark.slow
def test_over_standard_input_as_a_process(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "tiny", words=QUESTION.split())
    (tmp_path / "refunds.txt").write_text(REFUND, "utf-8")
    ingest(tmp_path / "refunds.txt", storage=tmp_path / "storage", model=str(tmp_path / "tiny"))

    async def ask(client: Client) -> Any:
        return await client.call_tool("retrieve", {"question": QUESTION})

    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "rag_app", "mcp", "--storage", str(tmp_path / "storage"), "--llm", "none"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    found = asked(started, ask)
    assert found.structured_content["passages"][0]["text"] == REFUND


@pytest.mark.slow
def test_over_http_with_a_token(tmp_path: Path) -> None:
    import httpx2

    site = build_mcp_site(build_mcp(Service(fill(tmp_path), Serving())), token=TOKEN)

    async def ask(client: Client) -> Any:
        return await client.call_tool("retrieve", {"question": QUESTION, "k": 1})

    async def connect(url: str, token: str) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return await ask(client)

    with running(site) as url:
        found = asyncio.run(connect(f"{url}/mcp", TOKEN))
        assert found.structured_content["passages"][0]["text"] == REFUND
        refused = httpx2.post(f"{url}/mcp", json={})
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "Unauthorized")


def test_flags_of_http_without_it_are_refused() -> None:
    done = CliRunner().invoke(build_app(), ["mcp", "--port", "8001"])
    assert (done.exit_code, "are for --http" in done.stderr) == (2, True)
