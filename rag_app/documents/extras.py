"""Libraries that only some kinds of files need."""

import importlib
from typing import Any

from rag_app.errors import DocumentError


def imported(name: str, *, extra: str) -> Any:
    """Import a library of an extra.

    Raises:
        DocumentError: it is not installed; names the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DocumentError(
            f"is of a kind that needs the package {name.partition('.')[0]}; run "
            f"`pip install 'rag-app[{extra}]'`"
        ) from None
