"""LlamaIndex's packages give each name when it is asked for, and all of them in the end."""

import subprocess
import sys


def run(code: str) -> str:
    """What a fresh Python prints."""
    code = f"import sys\nfrom rag_app.lazy_packages import make_lazy\nmake_lazy()\n{code}"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.strip()


def test_what_a_query_needs_brings_neither_chat_engines_nor_a_database() -> None:
    code = (
        "import rag_app.chunks\n"
        "import rag_app.retrieve.trace\n"
        "print([n for n in ('sqlalchemy', 'llama_index.core.chat_engine.context') "
        "if n in sys.modules])"
    )
    assert run(code) == "[]"


def test_every_public_name_is_still_there() -> None:
    code = (
        "import llama_index.core.schema\n"
        "import llama_index.core as core\n"
        "names = ['VectorStoreIndex', 'Settings', *core.__all__]\n"
        "print([name for name in names if getattr(core, name, None) is None])\n"
        "print(core.global_handler, core.__version__[:4])"
    )
    assert run(code).splitlines() == ["[]", "None 0.14"]


def test_the_classes_are_the_same_ones_by_every_path() -> None:
    code = (
        "from llama_index.core.node_parser.interface import NodeParser\n"
        "from llama_index.core.node_parser import NodeParser as other, SentenceSplitter\n"
        "from llama_index.core.ingestion import IngestionPipeline\n"
        "print(other is NodeParser, issubclass(SentenceSplitter, NodeParser))"
    )
    assert run(code) == "True True"


def test_what_is_imported_already_is_left_alone() -> None:
    code = (
        "sys.meta_path.pop(0)\n"
        "import llama_index.core\n"
        "before = len(sys.meta_path)\n"
        "make_lazy()\n"
        "print(len(sys.meta_path) - before)"
    )
    assert run(code) == "0"


def test_what_somebody_set_outlives_the_rest_of_a_package() -> None:
    code = (
        "import llama_index.core as core\n"
        "core.global_handler = 'mine'\n"
        "core.set_global_handler\n"
        "from llama_index.core import StorageContext\n"
        "try:\n    core.no_such_name\nexcept AttributeError as error:\n    print(error)\n"
        "print(core.global_handler)"
    )
    assert run(code).splitlines() == [
        "module 'llama_index.core' has no attribute 'no_such_name'",
        "mine",
    ]
