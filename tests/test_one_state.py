"""What is asked while documents are ingested is answered from one state of each of them."""

import datetime as dt
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenCatalog
from test_other_processes import INFO, MODEL, process, write

from rag_app.index import Catalog
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever

# In each round all chunks of 30 documents change, some seven of each.
ROUNDS = 5
INGEST = f"""
from test_other_processes import Document
from rag_app.index import VectorCache, sync_documents
PARTS = range(14)
for version in range(1, {ROUNDS} + 1):
    sys.stdin.readline()
    documents = [
        Document(
            id_=f"d{{n}}",
            text=" ".join(f"Apple of document{{n}} part{{k}} version{{version}}." for k in PARTS),
            metadata={{"path": f"d{{n}}"}},
        )
        for n in range(30)
    ]
    cache = VectorCache(Path(sys.argv[1]))
    sync_documents(index, documents, roots=[], model=MODEL, cache=cache)
"""


def versions_of(texts: list[str]) -> dict[str, set[str]]:
    """Document -> the versions that its passages are of."""
    found: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        for document, version in re.findall(r"(document\d+) part\d+ version(\d+)", text):
            found[document].add(version)
    return found


@pytest.fixture
def catalog(open_catalog: OpenCatalog, tmp_path: Path) -> Catalog:
    """With the index "words", which a process can open and write."""
    made = open_catalog(tmp_path)
    write(made.make("words", INFO), {"d0": "red apple pie", "d1": "green apple tart"})
    return made


@pytest.mark.parametrize("options", [{}, {"retriever": "hybrid", "hybrid_weight": 0.5}], ids=str)
def test_a_reader_meets_no_mix_of_old_and_new(
    catalog: Catalog,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    retriever = build_retriever(
        Searched(catalog.open("words"), MODEL),
        RetrievalOptions(**options),
        top_k=500,
        tools=Tools(tmp_path, dt.date(2026, 1, 1), None, lambda name: pytest.fail(name)),
    )
    asked = begun = 0
    seen: set[str] = set()
    server = [catalog.server.server.url] if catalog.server else []
    with process(INGEST, tmp_path, *server) as other:
        assert other.stdin is not None
        while other.poll() is None:
            # However the processor is shared, each round begins when the one before was seen.
            if begun < ROUNDS and (not begun or str(begun) in seen):
                begun += 1
                other.stdin.write("begin\n")
                other.stdin.flush()
            found = versions_of([hit.node.get_content() for hit in retriever.retrieve("apple")])
            mixed = {name: some for name, some in found.items() if len(some) > 1}
            # Of an index on a server nobody promises it: docs/reliability.md.
            assert catalog.server or not mixed
            seen.update(*found.values())
            asked += 1
        assert other.returncode == 0
    # The first question after the end is answered from the new state.
    last = versions_of([hit.node.get_content() for hit in retriever.retrieve("apple")])
    assert set().union(*last.values()) == {str(ROUNDS)}
    # It was asked meanwhile.
    assert asked > 2
    assert len(seen) > 1
