"""What rag_app imports is declared in pyproject.toml, and pinned in constraints.txt."""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_architecture import FILES, imports


def declared() -> Iterator[Requirement]:
    """The dependencies, and those of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for lines in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from map(Requirement, lines)


def test_every_import_is_declared() -> None:
    names = {name.partition(".")[0] for path in FILES for _, name in imports(path)}
    distributions = packages_distributions()
    known = {canonicalize_name(one.name) for one in declared()}
    missing = {
        name
        for name in names - sys.stdlib_module_names - {"rag_app"}
        # One of an extra that is not installed is found under its own name.
        if known.isdisjoint(map(canonicalize_name, distributions.get(name, [name])))
    }
    assert not missing


def test_every_dependency_is_pinned_to_a_version_that_fits() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines)
    asked = [(canonicalize_name(one.name), one.specifier) for one in declared()]
    assert {name for name, _ in asked} <= set(pins)
    assert not {name for name, fits in asked if pins[name] not in fits}
