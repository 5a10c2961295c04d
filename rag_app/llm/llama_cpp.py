"""llama.cpp's package, imported so that its threads do not spin."""

import importlib
import os
from typing import Any


def import_llama_cpp() -> Any:
    """The package xllamacpp.

    Raises:
        ImportError: it is not installed, or cannot be loaded.
    """
    # OpenMP reads this once, as it is loaded. By default a thread that waits for another spins for
    # milliseconds: beside other busy processes that made llama.cpp at least 4 times slower.
    ours = "GOMP_SPINCOUNT" not in os.environ
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        return importlib.import_module("xllamacpp")
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]


def listen_here(params: Any) -> None:
    """Let a server listen on this machine only, on a free port, without a page."""
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.endpoint_slots = False
    params.offline = True
    params.verbosity = 0
