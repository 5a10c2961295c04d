"""Names of a package that are loaded when they are first asked for: importing it stays cheap.

`rag_app` itself has its own: importing it loads no other module.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loads(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    Arguments:
        homes: each name with the module below the package that has it.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
