"""A service over four documents and a model that counts words."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fakes import WordModel
from llama_index.core.schema import Document
from starlette.testclient import TestClient

from rag_app import ingest
from rag_app.index import Workspace
from rag_app.llm.chat import ChatModel
from rag_app.serve.asked import Serving
from rag_app.serve.limits import Limits
from rag_app.serve.server import Place, bound
from rag_app.serve.service import Service
from rag_app.serve.site import build_site

REFUND = "Refunds are paid within five days. The bank may take longer."
PASSAGES = {
    "refunds": REFUND,
    "hours": "The shop is open from nine to six.",
    "parcels": "Parcels over thirty kilograms go by freight.",
    "배송": "배송비는 삼천원 입니다.",
}
METADATA = {
    "refunds": {"category": "money", "title": "Refunds"},
    "hours": {"category": "shop"},
    "parcels": {"category": "shop"},
    "배송": {"category": "money"},
}


def documents() -> list[Document]:
    return [Document(id_=id_, text=text, metadata=METADATA[id_]) for id_, text in PASSAGES.items()]


def fill(storage: Path) -> Workspace:
    """An index of the documents in service."""
    ingest(documents(), storage=storage, embedder=WordModel(), chunk_overlap=0)
    return Workspace(storage, embedder=WordModel())


@contextmanager
def client_of(
    workspace: Workspace,
    *,
    llm: ChatModel | None = None,
    token: str | None = None,
    limits: Limits | None = None,
    **serving: Any,
) -> Iterator[TestClient]:
    """A client of a site over this workspace."""
    service = Service(workspace, Serving(**serving), llm=llm)
    site = build_site(service, workspace.storage / "results", token=token, limits=limits)
    with TestClient(
        site, base_url="http://127.0.0.1:8000", raise_server_exceptions=False
    ) as client:
        yield client


def problem(response: Any) -> tuple[int, str, str]:
    """Status, type and message of an error, which has the one shape that errors have."""
    assert response.headers["content-type"] == "application/json"
    values = response.json()
    assert set(values) == {"error"}
    assert set(values["error"]) == {"message", "type", "param"}
    return response.status_code, values["error"]["type"], values["error"]["message"]


@contextmanager
def running(app: Any) -> Iterator[str]:
    """The address of a real server, which runs in a thread of its own."""
    listening = bound(Place(port=0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Place(port=listening.getsockname()[1]).url
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
