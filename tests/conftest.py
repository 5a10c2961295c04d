"""What every test needs: no network, no telemetry, small real models."""

import asyncio
import gc
import importlib.util
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from chroma_process import chroma_server
from tiny import one_thread

from rag_app.environment import prepare_environment

if TYPE_CHECKING:
    from rag_app.index import Catalog

os.environ["HF_HUB_OFFLINE"] = "1"
for name in [name for name in os.environ if name.startswith("RAG_APP_")]:
    del os.environ[name]
prepare_environment(offline=True)


class NetworkUsed(AssertionError):
    """A test asked another machine."""


def _refuse_other_machines() -> None:
    """Let sockets of this process reach this machine alone."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(own: socket.socket, address: Any) -> None:
        if own.family in {socket.AF_INET, socket.AF_INET6}:
            with suppress(ValueError):
                if ip_address(address[0]).is_loopback:
                    return
            if address[0] != "localhost":
                raise NetworkUsed(f"a test connects to {address[0]}")

    def connected(own: socket.socket, address: Any) -> None:
        check(own, address)
        connect(own, address)

    def tried(own: socket.socket, address: Any) -> int:
        check(own, address)
        return connect_ex(own, address)

    socket.socket.connect = connected  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = tried  # type: ignore[method-assign, assignment]


_refuse_other_machines()

OpenCatalog = Callable[[Path], "Catalog"]
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
E5 = "intfloat/multilingual-e5-small"
# Files of tests that take a minute and more, the longest first.
LONGEST = (
    "test_ray",
    "test_resume",
    "test_crash_matrix",
    "test_docs_commands",
    "test_other_processes",
    "test_passage_graph",
    "test_onnx",
    "test_docs_unmarked",
    "test_python_docs",
    "test_reference",
    "test_sweep_cli",
    "test_cli",
    "test_readme",
    "test_finetune_bad_input",
    "test_finetune_stage",
    "test_processes",
    "test_documents_pages",
    "test_wheel",
    "test_ingest",
    "test_reading_process",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three and more: a fifth of the time tests wait for other processes."""
    return max(3, os.cpu_count() or 1)


def load_script(name: str) -> ModuleType:
    """A program below docs that is no part of the package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no process is left with one when the others end."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public data that lies beside a developer's checkout; tests that need it skip without."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def small_canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ...]]:
    """Where `finetune` looks for out-of-domain questions: two folders of each sample, since the
    whole of them takes half of a tiny model's tuning. Gives where it looks by itself."""
    from samples import copy_sample

    from rag_app.evaluate import canary

    folder = tmp_path_factory.mktemp("canary")
    for language in ("en", "ko"):
        copy_sample(language, folder / language, ("account", "billing"))
    with pytest.MonkeyPatch.context() as patch:
        whole = canary._SAMPLES
        patch.setattr(canary, "_SAMPLES", (folder,))
        yield whole


@pytest.fixture(scope="module")
def whole_canary(small_canary: tuple[Path, ...]) -> Iterator[None]:
    """For modules in which all of the sample data is the canary, as it is to users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rag_app.evaluate.canary._SAMPLES", small_canary)
        yield


@pytest.fixture(scope="session")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Chroma server for all tests; each has a project of its own there."""
    with chroma_server(tmp_path_factory.mktemp("chroma")) as url:
        yield url


@pytest.fixture(scope="module", params=["embedded", "server"])
def open_catalog(request: pytest.FixtureRequest) -> OpenCatalog:
    """Opens a storage's indexes: embedded, or on the server, where each has its own project."""
    from rag_app.index import Catalog

    if request.param == "embedded":
        return Catalog
    return partial(Catalog, chroma_url=request.getfixturevalue("chroma_url"))


@pytest.fixture
def files_only(request: pytest.FixtureRequest) -> None:
    """For tests of an index's own files and locks, which a server keeps to itself."""
    if request.node.callspec.params["open_catalog"] == "server":
        pytest.skip("of the files of an embedded index")


@pytest.fixture(scope="module", autouse=True)
def collected_garbage() -> None:
    """What is loaded by now stays: each full collection, of which a training makes six, would go
    through the millions of objects of torch and transformers, which takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def no_event_loop_left() -> Iterator[None]:
    """LlamaIndex makes a loop that it never closes; dropped later, it warns in another test."""
    yield
    with warnings.catch_warnings(), suppress(RuntimeError):
        warnings.simplefilter("ignore")
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)


@pytest.fixture(scope="module")
def single_thread() -> Iterator[None]:
    """For modules that train tiny models."""
    with one_thread():
        yield


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passages are embedded as plain sentence-transformers does, on every processor."""
    monkeypatch.setattr("rag_app.models.embedding.has_bf16", lambda _: False)
