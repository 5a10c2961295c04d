"""Stages that can be called: `rag_app.ingest` is a package that `python -m` runs, and a function.

Importing a package's module sets it as an attribute of its parent, so a function of the same name
would be replaced by the package as soon as anything in it is loaded. The package itself is made
callable instead.
"""

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

# Package -> the module that has the function of its name.
FUNCTIONS = {
    "rag_app.ingest": "rag_app.api",
    "rag_app.finetune": "rag_app.api",
    "rag_app.sweep": "rag_app.api",
    "rag_app.evaluate": "rag_app.evaluate.evaluation",
}


class CallableStage(ModuleType):
    """A package that is called as the function of its name is."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function; it is loaded now."""
        return _function(self)(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's, for help and notebooks."""
        return inspect.signature(_function(self))


def make_callable(package: str) -> None:
    """Let a package be called, from its own `__init__`."""
    sys.modules[package].__class__ = CallableStage


def _function(package: ModuleType) -> Callable[..., Any]:
    name = package.__name__
    function: Callable[..., Any] = getattr(import_module(FUNCTIONS[name]), name.rpartition(".")[2])
    return function
