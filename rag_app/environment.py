"""What the libraries underneath must be told before they are imported."""

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Their older word for offline: at that one transformers prints a line among a command's results.
_WANDB_OFFLINE = "dryrun"


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Takes back what an import does to everybody's logging.

    llama_index.finetuning sends all logging from INFO on to standard output, twice.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def prepare_environment(*, offline: bool = True) -> None:
    """Turn telemetry off, keep the libraries quiet, and keep them from asking the network.

    Call it before torch, transformers, chromadb or llama_index are imported. What the user has set
    already is left alone, but for telemetry.
    """
    for name in ("ANONYMIZED_TELEMETRY", "CHROMA_TELEMETRY"):
        os.environ[name] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # NNCF sends each use to Google, unasked; it knows no other word against that.
    os.environ["NNCF_CI"] = "1"
    os.environ.setdefault("WANDB_SILENT", "true")
    if os.environ.get("WANDB_MODE") == "offline":
        os.environ["WANDB_MODE"] = _WANDB_OFFLINE
    # Its folders, which it would rather see in a database, are all that its client can write alone.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # oneDNN keeps 1,024 kernels, one for each number of tokens: half a gigabyte, seldom met again.
    # Those of a training are some two hundred (finetune/train/packed.py).
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
    # llama_index carries the encoding that tiktoken would otherwise download.
    spec = importlib.util.find_spec("llama_index.core")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "_static" / "tiktoken_cache"
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(bundled))
    for library in ("sentence_transformers", "transformers", "httpx", "httpcore", "chromadb"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It sets itself to DEBUG when it is imported.
    logging.getLogger("bm25s").addFilter(_is_warning)
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("WANDB_MODE", _WANDB_OFFLINE)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
