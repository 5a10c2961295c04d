"""Imports point one way, only the index knows Chroma, only the command line prints."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rag_app.cli.app import build_app

PACKAGE = Path(__file__).parents[1] / "rag_app"
# A module imports only from those above it, type hints included.
ORDER = (
    "callable_stage",
    "lazy_names",
    "errors",
    "extras",
    "masking",
    "disk",
    "progress",
    "duration",
    "environment",
    "lazy_packages",
    "config",
    "text",
    "result",
    "known",
    "vectors",
    "llm",
    "models",
    "documents",
    "chunking",
    "chunks",
    "index",
    "retrieve",
    "pairs",
    "questions",
    "evaluate",
    "finetune",
    "sweep",
    "export",
    "report",
    "ingest",
    "tune",
    "answer",
    "query",
    "serve",
    "bundle",
    "api",
    "cli",
)
VAGUE = {"utils", "util", "helpers", "common", "base", "misc"}
ITSELF = {"self", "cls"}
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "chromadb",
    "llama_index",
    "datasets",
    "openai",
    "sklearn",
    "scipy",
    "numpy",
    "pydantic",
    "pandas",
)


def part_of(path: Path) -> str:
    """The first name below `rag_app`: "index" for rag_app/index/store.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


class AtRunTime(ast.NodeTransformer):
    """Leaves out what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else node


def imports(path: Path, *, hints: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports at any depth.

    Arguments:
        hints: also what it imports for type checkers alone.
    """
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree if hints else AtRunTime().visit(tree)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def own_parts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and part of each import from rag_app."""
    for line, name in imports(path):
        package, _, rest = name.partition(".")
        if package == "rag_app" and rest != "__version__":
            yield line, rest.partition(".")[0]


def test_every_part_has_its_place() -> None:
    parts = {part_of(path) for path in FILES} - {"__init__", "__main__"}
    assert parts <= set(ORDER), f"give {sorted(parts - set(ORDER))} a place in ORDER"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    if path.name == "__main__.py":
        return
    part = part_of(path)
    # The door names what it lets in, for type checkers.
    allowed = {part, *(ORDER if part == "__init__" else ORDER[: ORDER.index(part)])}
    wrong = [f"line {line}: {name}" for line, name in own_parts(path) if name not in allowed]
    assert not wrong


def module_of(path: Path) -> str:
    """The name under which a file is imported."""
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count: they only put a circle off."""
    modules = {module_of(path): path for path in FILES}
    graph = {
        module: {
            name if name in modules else name.rpartition(".")[0]
            for _, name in imports(path, hints=False)
            if name.startswith("rag_app.")
        }
        for module, path in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_main_files_only_start_the_command_line() -> None:
    for path in FILES:
        if path.name == "__main__.py":
            assert [name for _, name in imports(path)] == ["rag_app.cli.main"]


def test_only_the_index_imports_chroma() -> None:
    users = {
        part_of(path)
        for path in FILES
        for _, name in imports(path)
        if name.startswith(("chromadb", "llama_index.vector_stores.chroma"))
    }
    assert users == {"index"}


def test_only_the_command_line_prints() -> None:
    for path in FILES:
        if part_of(path) == "cli":
            continue
        printed = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        # What runs in a process of its own may speak to the one that started it.
        assert not printed, f"{path} prints in lines {printed}"


def test_only_the_command_line_imports_its_libraries() -> None:
    for path in FILES:
        used = {name.partition(".")[0] for _, name in imports(path)}
        assert part_of(path) == "cli" or not used & {"typer", "rich", "prompt_toolkit"}, path


def test_only_disk_writes_files() -> None:
    """What is written in place is torn where the process is killed; the rest appends or renames."""
    for path in FILES:
        if part_of(path) != "disk":
            assert not list(written_in_place(path)), path


def written_in_place(path: Path) -> Iterator[int]:
    """Lines that call write_text or write_bytes, or open to write anew."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        modes = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
        opened = name == "open" and {"w", "wb", "x", "xb"} & {*map(str, modes)}
        if opened or name in ("write_text", "write_bytes"):
            yield node.lineno


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not VAGUE & {part.removesuffix(".py") for path in FILES for part in path.parts}


def test_functions_take_at_most_five_arguments_by_place() -> None:
    for path in FILES:
        too_many = [
            f"line {node.lineno}: {node.name}"
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and len({one.arg for one in node.args.posonlyargs + node.args.args} - ITSELF) > 5
        ]
        assert not too_many, path


def test_only_scripts_has_the_range_of_hangul() -> None:
    users = {module_of(path) for path in FILES if "힣" in path.read_text("utf-8")}
    assert users == {"rag_app.text.scripts"}


def test_the_query_adapter_has_one_name() -> None:
    """That of the command line, in all that is read: docstrings, messages, model cards."""
    for path in FILES:
        words = " ".join(path.read_text("utf-8").replace("#", " ").split())
        assert "map on questions" not in words, path
        assert "through a map" not in words, path


def test_no_pickle_and_no_foreign_code() -> None:
    for path in FILES:
        assert "pickle" not in {name.partition(".")[0] for _, name in imports(path)}, path
        assert "trust_remote_code=True" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("module", ["rag_app", "rag_app.cli", "rag_app.cli.app"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("\n", "")


COMMANDS = (
    "",
    "tune",
    "ingest",
    "questions",
    "finetune",
    "evaluate",
    "sweep",
    "export",
    "report",
    "query",
    "serve",
    "mcp",
    "status",
    "doctor",
    "init",
    "runs",
    "runs list",
    "runs show",
    "runs diff",
    "index",
    "index list",
    "index use",
    "index rollback",
    "index remove",
    "index info",
    "index verify",
    "index repair",
    "index gc",
    "export",
    "export onnx",
    "export openvino",
    "export gguf",
    "export hub",
    "export trec",
    "export beir",
    "export sentence-transformers",
    "bundle",
    "bundle pack",
    "bundle open",
)
# Typer itself asks pydantic what an option may be.
OURS = tuple(name for name in HEAVY if name != "pydantic")
ASK = f"""
import sys
from rag_app.cli.app import build_app

try:
    build_app()([*sys.argv[1:], "--help"], prog_name="rag-app")
finally:
    print("loaded:", *[name for name in {OURS} if name in sys.modules])
"""


def test_all_commands_are_known_here() -> None:
    app: Any = get_command(build_app())
    inner = [
        f"{group} {name}"
        for group, one in app.commands.items()
        for name in getattr(one, "commands", ())
    ]
    assert {"", *app.commands, *inner} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK, *command.split()],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *page, loaded = done.stdout.splitlines()
    assert " ".join(["rag-app", *command.split()]) in "\n".join(page)
    assert loaded.strip() == "loaded:"
