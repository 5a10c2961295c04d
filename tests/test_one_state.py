"""What is asked while documents are ingested is answered from one state of each of them."""

import datetime as dt
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from test_other_processes import MODEL, index, process  # noqa: F401

from rag_app.index import VectorIndex
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


@pytest.mark.parametrize("options", [{}, {"retriever": "hybrid", "hybrid_weight": 0.5}], ids=str)
def test_a_reader_meets_no_mix_of_old_and_new(
    index: VectorIndex,  # noqa: F811
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    retriever = build_retriever(
        Searched(index, MODEL),
        RetrievalOptions(**options),
        top_k=500,
        tools=Tools(tmp_path, dt.date(2026, 1, 1), None, lambda name: pytest.fail(name)),
    )
    asked = begun = 0
    seen: set[str] = set()
    with process(INGEST, tmp_path) as other:
        assert other.stdin is not None
        while other.poll() is None:
            # However the processor is shared, each round begins when the one before was seen.
            if begun < ROUNDS and (not begun or str(begun) in seen):
                begun += 1
                other.stdin.write("begin\n")
                other.stdin.flush()
            found = versions_of([hit.node.get_content() for hit in retriever.retrieve("apple")])
            mixed = {name: some for name, some in found.items() if len(some) > 1}
            assert not mixed
            seen.update(*found.values())
            asked += 1
        assert other.returncode == 0
    # The first question after the end is answered from the new state.
    last = versions_of([hit.node.get_content() for hit in retriever.retrieve("apple")])
    assert set().union(*last.values()) == {str(ROUNDS)}
    # It was asked meanwhile.
    assert asked > 2
    assert len(seen) > 1
