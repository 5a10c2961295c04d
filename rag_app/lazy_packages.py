"""LlamaIndex without what its packages import ahead: each name is loaded when it is asked for.

`import llama_index.core.schema` runs `llama_index/core/__init__.py`, which loads chat engines,
agents and a database toolkit: 2.3 s of processor time against .5 (llama-index-core 0.14.25). Where
an `__init__.py` only names what other modules have, the names are looked up in these modules when
they are asked for (PEP 562). What else it defines, it defines when one of those names is asked for.

Only the command line does this; a program that imports LlamaIndex itself gets it as it is.
"""

import ast
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = "llama_index.core"


def make_lazy(root: str = ROOT) -> None:
    """Let this package and those in it load names when they are asked for.

    Nothing happens where it is imported already.
    """
    known = any(isinstance(finder, _LazyFinder) and finder.root == root for finder in sys.meta_path)
    if root not in sys.modules and not known:
        sys.meta_path.insert(0, _LazyFinder(root))


class _LazyFinder:
    """Finds the packages below a root, and gives them a loader that runs nothing."""

    def __init__(self, root: str) -> None:
        self.root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a package whose names can be had one by one; None for anything else."""
        if name != self.root and not name.startswith(f"{self.root}."):
            return None
        found = PathFinder.find_spec(name, path, target)
        if found is None or found.submodule_search_locations is None or not found.origin:
            return None
        source = Path(found.origin).read_text("utf-8")
        spec = ModuleSpec(
            name, _LazyLoader(name, found.origin, source), origin=found.origin, is_package=True
        )
        spec.submodule_search_locations = found.submodule_search_locations
        spec.has_location = True
        return spec


class _LazyLoader(Loader):
    """Makes a package that knows where its names are defined.

    Arguments:
        name, file, source: of its `__init__.py`.
    """

    def __init__(self, name: str, file: str, source: str) -> None:
        self._name, self._file, self._source = name, file, source
        self._homes, self._constants = _names(ast.parse(source), package=name)
        self._ran = False

    def create_module(self, spec: ModuleSpec) -> None:
        """None: a module like any other."""

    def exec_module(self, module: ModuleType) -> None:
        """Say how names are found; nothing is loaded."""
        module.__dict__.update(self._constants)
        module.__dict__["__getattr__"] = lambda name: self._find(module, name)

    def _find(self, module: ModuleType, name: str) -> Any:
        if name in self._homes:
            value = _imported(*self._homes[name])
            setattr(module, name, value)
            return value
        if not self._ran and name != "__path__":
            self._run(module)
        if name in module.__dict__:
            return module.__dict__[name]
        raise AttributeError(f"module {self._name!r} has no attribute {name!r}")

    def _run(self, module: ModuleType) -> None:
        """Do what the file says, for a name that it defines itself."""
        self._ran = True
        before = {name: module.__dict__[name] for name in self._constants}
        code = compile(self._source, self._file, "exec")
        exec(code, module.__dict__)  # noqa: S102 - as importing it would
        # Somebody may have set them meanwhile.
        module.__dict__.update(before)


def _imported(home: str, name: str) -> Any:
    module = import_module(home)
    try:
        return getattr(module, name)
    except AttributeError:
        return import_module(f"{home}.{name}")


def _names(tree: ast.Module, *, package: str) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    """What an `__init__.py` names: name -> (module, name there), and name -> constant."""
    homes: dict[str, tuple[str, str]] = {}
    constants: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level <= 1:
            parts = (package if node.level else None, node.module)
            home = ".".join(part for part in parts if part)
            for alias in node.names:
                homes[alias.asname or alias.name] = (home, alias.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            with suppress(ValueError):
                value = ast.literal_eval(node.value)
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                constants |= {one.id: value for one in targets if isinstance(one, ast.Name)}
    return homes, constants
