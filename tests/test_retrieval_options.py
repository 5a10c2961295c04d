"""The written form of a retrieval: what it means, and what is said of one that means nothing."""

import itertools
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_app.cli.app import build_app
from rag_app.cli.given import retrieval_of
from rag_app.config import Settings
from rag_app.errors import ConfigError
from rag_app.retrieve import RetrievalOptions

PLAIN = RetrievalOptions()
RETRIEVERS = ("vector", "exact", "keyword", "hybrid:0.7", "hybrid:auto", "ranks:0.25", "hybrid:0")
STEPS = (
    ("multi_query", "hyde"),
    ("rerank:models/my-reranker", "rerank:/my models/ce", "rerank:C:/models/ce"),
    ("latest", "cutoff 365d", "half-life 90d"),
    ("window:1", "parent:12"),
)


def test_written_forms_are_read_and_written_again() -> None:
    choices = itertools.product(RETRIEVERS, *(("", *steps) for steps in STEPS))
    specs = ["+".join(filter(None, parts)) for parts in choices]
    assert len(specs) == 7 * 3 * 4 * 4 * 3
    for spec in specs:
        assert PLAIN.with_spec(spec).spec == spec


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("hybrid", "hybrid:0.7"),
        ("ranks", "ranks:0.7"),
        ("hybrid:", "hybrid:0.7"),
        ("hybrid 0.5", "hybrid:0.5"),
        ("hybrid: 1", "hybrid:1"),
        ("hybrid:.30", "hybrid:0.3"),
        (" vector + latest ", "vector+latest"),
        ("vector+half-life:90d", "vector+half-life 90d"),
        ("vector+half-life  90d", "vector+half-life 90d"),
        ("vector+window+parent", "vector+parent:4"),
        ("vector+window:", "vector+window:1"),
        ("vector+window:007", "vector+window:7"),
        # Of two that exclude each other the last one counts; order says nothing.
        ("vector+hyde+cutoff 9d+multi_query+latest", "vector+multi_query+latest"),
        (
            "keyword+window:2+cutoff 1y+rerank:x+hyde",
            "keyword+hyde+rerank:x+cutoff 1y+window:2",
        ),
    ],
)
def test_other_ways_to_write_it(spec: str, written: str) -> None:
    options = PLAIN.with_spec(spec)
    assert options.spec == written
    assert PLAIN.with_spec(written) == options


def test_what_a_form_means() -> None:
    options = PLAIN.with_spec("ranks:0.4+hyde+rerank:a/b+half-life 90d+parent:3")
    assert options == RetrievalOptions(
        retriever="hybrid",
        hybrid_weight=0.4,
        fusion="ranks",
        rewrite="hyde",
        rerank="a/b",
        recency="half-life 90d",
        context="parent:3",
    )
    assert options.larger_context() == ("parent", 3)
    assert PLAIN.larger_context() is None
    assert PLAIN.with_spec("hybrid:auto").hybrid_weight is None


def test_another_form_leaves_nothing_of_the_last_but_numbers_and_filter() -> None:
    given = RetrievalOptions(fetch_k=7, rewrites=2, where="a = 1").with_spec(
        "ranks:0.1+hyde+latest"
    )
    assert given.with_spec("vector") == RetrievalOptions(fetch_k=7, rewrites=2, where="a = 1")


@pytest.mark.parametrize(
    ("spec", "candidates", "asks"),
    [
        ("vector", False, False),
        ("hybrid:0.5", False, False),
        ("vector+multi_query", True, True),
        ("vector+hyde", True, True),
        ("vector+rerank:x", True, False),
        ("keyword+latest", True, False),
        ("vector+window", True, False),
    ],
)
def test_what_a_form_needs(spec: str, candidates: bool, asks: bool) -> None:
    options = PLAIN.with_spec(spec)
    assert (options.candidates, options.asks_model) == (candidates, asks)


NO_RETRIEVER = (
    "it is one of exact, vector, keyword, hybrid, ranks, index, as in hybrid:0.7+latest+window:1 "
    "or hybrid:learned"
)
NO_STEP = (
    "it is one of questions, multi_query, hyde, rerank, latest, cutoff, half-life, window, parent, "
    "as in hybrid:0.7+latest+window:1 or hybrid:learned"
)
SHARE = "takes a number from 0 to 1"
CHUNKS = "takes a number of chunks from 1 to 100"
REFUSED = {
    "": f"unknown retriever ''; {NO_RETRIEVER}",
    "magic": f"unknown retriever 'magic'; {NO_RETRIEVER}",
    "hybird": "unknown retriever 'hybird', did you mean hybrid?",
    "Vector:0.7": "unknown retriever 'Vector' in 'Vector:0.7', did you mean vector?",
    "latest": f"unknown retriever 'latest'; {NO_RETRIEVER}",
    "vector latest": "vector takes no value",
    "vector:3": "vector takes no value",
    "vector+": f"unknown step '' in 'vector+'; {NO_STEP}",
    "vector+magic": f"unknown step 'magic' in 'vector+magic'; {NO_STEP}",
    "vector+lates": "unknown step 'lates' in 'vector+lates', did you mean latest?",
    "vector+keyword": f"unknown step 'keyword' in 'vector+keyword'; {NO_STEP}",
    "hybrid:1.1": f"hybrid {SHARE}",
    "hybrid:-0.1": f"hybrid {SHARE}",
    "hybrid:nan": f"hybrid {SHARE}",
    "hybrid:half": f"hybrid {SHARE}",
    "ranks:2": f"ranks {SHARE}",
    # Steps that there were once.
    "vector+mmr:0.7": f"unknown step 'mmr' in 'vector+mmr:0.7'; {NO_STEP}",
    "vector+decompose": f"unknown step 'decompose' in 'vector+decompose'; {NO_STEP}",
    "vector+hyde:3": "hyde takes no value",
    "vector+rerank": "rerank takes the name or folder of a cross-encoder: rerank:NAME",
    "vector+window:0": f"window {CHUNKS}",
    "vector+window:101": f"window {CHUNKS}",
    "vector+window:-1": f"window {CHUNKS}",
    "vector+parent:2.5": f"parent {CHUNKS}",
    "vector+parent:9999": f"parent {CHUNKS}",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_what_is_no_retriever_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError) as refused:
        PLAIN.with_spec(spec)
    said = REFUSED[spec]
    assert str(refused.value) == (
        said if said.startswith("unknown") else f"retriever {spec!r}: {said}"
    )


def test_from_settings() -> None:
    settings = Settings(retriever="hybrid:0.5+latest", fetch_k=7, rewrites=2, where="a = 1")
    options = RetrievalOptions(
        "hybrid", hybrid_weight=0.5, recency="latest", fetch_k=7, rewrites=2, where="a = 1"
    )
    assert retrieval_of(settings) == options
    assert options == RetrievalOptions.parse(
        "hybrid:0.5+latest", fetch_k=7, rewrites=2, where="a = 1"
    )
    assert retrieval_of(Settings()) == RetrievalOptions.parse("index")
    assert RetrievalOptions.parse() == PLAIN
    with pytest.raises(ConfigError, match="unknown retriever 'magic'"):
        retrieval_of(Settings(retriever="magic"))


def test_a_bad_retriever_in_the_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rag_app.toml").write_text('retriever = "hybrid:70"\n', "utf-8")
    done = CliRunner().invoke(build_app(), ["evaluate", "q.jsonl", "--json"])
    said = f"retriever 'hybrid:70': hybrid {SHARE}"
    assert (done.exit_code, done.stderr) == (2, f"error: {said}\n")
    assert json.loads(done.stdout) == {"error": said, "kind": "ConfigError"}


def test_an_age_that_is_missing_is_refused_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        RetrievalOptions().with_spec("vector+cutoff")
    assert str(refused.value) == (
        "recency 'cutoff' needs an age; write 'cutoff 365d', 'half-life 90d' or 'latest', an age "
        "in d (days), w (weeks), m (30 days) or y (365 days)"
    )
