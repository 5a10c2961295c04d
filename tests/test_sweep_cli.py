"""`rag-app sweep` as a user sees it, on documents where it is known which setting is right.

Each of forty documents names a place in its first sentence and says what to pay there in the
second. Questions name the place, and the answer is the second sentence. Vectors of random weights
know nothing. Keywords find the first sentence, so the answer is found where both stand in one
chunk (64 tokens), or where the neighbours of a chunk come with it (32 tokens and a window).
"""

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from fake_endpoint import FakeEndpoint, completion
from test_cli import HEAVY, check_error, name_of, python, run_app, run_json
from tiny import make_tiny_cross_encoder, make_tiny_model, one_thread
from typer.testing import Result

from rag_app.cli.given import workspace_of
from rag_app.cli.retrieval import make_tools
from rag_app.config import Settings
from rag_app.errors import IndexLocked
from rag_app.index import Catalog
from rag_app.pairs import question_id, write_training_documents
from rag_app.progress import silent
from rag_app.retrieve.learned import LearnedFusion
from rag_app.sweep.grid import Grid
from rag_app.sweep.request import SweepRequest
from rag_app.sweep.result import SweepResult
from rag_app.sweep.stage import sweep

SYLLABLES = list(product("bdgkmr", "aou", "bdgkmr", "aou", "k"))
PLACES = ["".join(parts) for parts in SYLLABLES[:40]]
NOISE = ["".join(parts) for parts in SYLLABLES[40:]]
WORDS = [*PLACES, *NOISE, "near", "pay", "what", "at"]
# Small chunks of one sentence each, searched by vectors: what is in service.
INGEST = ("--model", "tiny", "--chunk-size", "32", "--chunk-overlap", "0")
COMPARE = ("--chunk-overlaps", "0", "--metric", "hit_rate@1", "--quiet")
SIZES = ("--chunk-sizes", "32,64", "--retriever", "vector", "--retriever", "keyword", *COMPARE)
WINNER = {"model": "tiny", "chunk_size": 64, "chunk_overlap": 0, "retriever": "keyword+questions"}


@dataclass(frozen=True)
class Shop:
    """A storage to itself, in a folder of its own which is the current one."""

    folder: Path

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def toml(self) -> Path:
        return self.folder / "rag_app.toml"

    @property
    def questions(self) -> Path:
        return self.folder / "questions.jsonl"

    def arguments(self, *options: str | Path) -> list[str | Path]:
        return ["sweep", "--questions", self.questions, "--storage", self.storage, *options]

    def sweep(self, *options: str | Path) -> Result:
        done = run_app(*self.arguments(*options))
        assert done.exit_code == 0, (done.stderr, done.exception)
        return done

    def sweep_json(self, *options: str | Path) -> dict[str, Any]:
        return run_json(*self.arguments(*options))


def write_documents(folder: Path) -> None:
    """Twenty words a sentence, drawn so that no two documents are near-duplicates."""
    rng = random.Random(1)  # noqa: S311
    folder.mkdir()
    for number, place in enumerate(PLACES):
        words = rng.sample(NOISE, 36)
        first = " ".join(["Near", place, *words[:18]])
        second = " ".join(["Pay", *words[18:]])
        (folder / f"d{number:02}.txt").write_text(f"{first}. {second}.", "utf-8")


def write_questions(path: Path, documents: Sequence[int] = range(len(PLACES))) -> None:
    rows = []
    for number in documents:
        text = (path.parent / "docs" / f"d{number:02}.txt").read_text("utf-8")
        evidence = text.partition(". ")[2]
        name = f"docs/d{number:02}.txt"
        question = f"what at {PLACES[number]}?"
        rows.append({"question": question, "document": name, "evidence": evidence})
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents, questions and a storage, to be copied."""
    folder = tmp_path_factory.mktemp("ingested")
    make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    write_documents(folder / "docs")
    write_questions(folder / "questions.jsonl")
    done = run_app("ingest", folder / "docs", "--storage", folder / "storage", *INGEST, "--quiet")
    assert done.exit_code == 0, done.stderr
    return folder


def moved_in(source: Path, target: Path) -> Shop:
    """The documents stay where they were read."""
    shutil.copytree(source / "storage", target / "storage")
    shutil.copy(source / "questions.jsonl", target / "questions.jsonl")
    return Shop(target)


@pytest.fixture
def shop(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return moved_in(ingested, tmp_path)


@dataclass(frozen=True)
class Won:
    """A shop after a sweep that won, and what the sweep printed for programs."""

    shop: Shop
    before: str
    values: dict[str, Any]

    def run(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = next(run for run in self.values["runs"] if run["name"] == name)
        return values


@pytest.fixture(scope="module")
def won(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Won]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("won")
        patch.chdir(folder)
        shop = moved_in(ingested, folder)
        shop.toml.write_text("# ours\ntop_k = 3\n", "utf-8")
        before = name_of(shop.storage)
        yield Won(shop, before, shop.sweep_json(*SIZES))


def test_help_loads_nothing_heavy() -> None:
    done = python("-X", "importtime", "-m", "rag_app.sweep", "--help")
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & set(HEAVY)
    assert "Usage: rag-app sweep " in done.stdout


# A sweep that wins


def test_runs_and_recommended(won: Won) -> None:
    values = won.values
    assert values["split"] == {"dev": 20, "test": 20}
    assert (values["unmatched"], values["trained_on"]) == (0, 0)
    names = [run["name"] for run in values["runs"]]
    assert names[:2] == ["tiny 32/0 vector", "tiny 64/0 keyword"]
    assert set(names[2:]) == {"tiny 32/0 keyword", "tiny 64/0 vector"}
    for run in values["runs"]:
        assert run["n"] == 20
        assert set(run["hit_rate@1"]) == set(run["hit_rate@1024t"]) == {"mean", "low", "high"}
        assert run["milliseconds"] > 0
        assert run["megabytes"] > 0
    assert [run["chunks"] for run in values["runs"][:2]] == [80, 40]
    assert won.run("tiny 64/0 keyword")["hit_rate@1"]["mean"] == 1.0
    assert won.run("tiny 32/0 keyword")["hit_rate@1"]["mean"] == 0.0
    assert "change" not in won.run("tiny 32/0 vector")
    change = won.run("tiny 64/0 keyword")["change"]
    assert change["mean"] == 1.0 - won.run("tiny 32/0 vector")["hit_rate@1"]["mean"]
    assert change["p"] <= won.run("tiny 64/0 keyword")["p_holm"] < 0.01
    recommended = values["recommended"]
    assert recommended["wins"] is True
    assert {key: recommended[key] for key in WINNER} == WINNER
    assert recommended["reason"].startswith("64 tokens (overlap 0), keyword: hit_rate@1 +")
    assert values["promoted"] is True


def test_the_index_in_service_is_not_built_and_the_other_one_is(won: Won) -> None:
    assert won.run("tiny 32/0 vector")["build_seconds"] is None
    assert won.run("tiny 32/0 vector")["index"] == won.before
    assert won.run("tiny 64/0 keyword")["build_seconds"] > 0


def test_every_setting_is_asked_the_same_questions(won: Won) -> None:
    folder = Path(won.shop.folder / won.values["results"])
    kept = {
        path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in folder.glob("tiny*.jsonl")
    }
    assert set(kept) == {f"tiny-{size}-0-{by}" for size in (32, 64) for by in ("vector", "keyword")}
    asked = {name: [row["question_id"] for row in rows] for name, rows in kept.items()}
    assert len({tuple(ids) for ids in asked.values()}) == 1
    # The answer is a span of characters: in each index the one chunk that covers it is right.
    catalog = Catalog(won.shop.storage)
    for size, count in ((32, 80), (64, 40)):
        index = won.run(f"tiny {size}/0 keyword")["index"]
        nodes = {node.node_id: node for node in catalog.open(index).passages().nodes}
        assert len(nodes) == count
        for row in kept[f"tiny-{size}-0-keyword"]:
            [[gold]] = row["gold"]
            assert "Pay" in nodes[gold].text
            assert ("Near" in nodes[gold].text) is (size == 64)
    values = json.loads((folder / "sweep.json").read_text("utf-8"))
    printed = {key: value for key, value in won.values.items() if key != "report"}
    assert values == {**printed, "seconds": values["seconds"]}


def test_the_winner_is_in_service_and_in_the_settings_file(won: Won) -> None:
    assert name_of(won.shop.storage) == won.values["recommended"]["index"] != won.before
    assert won.shop.toml.read_text("utf-8") == (
        '# ours\ntop_k = 3\nmodel = "tiny"\nchunk_size = 64\nchunk_overlap = 0\n'
        'retriever = "keyword+questions"\n'
    )


def test_the_index_of_the_winner_keeps_its_retriever(won: Won) -> None:
    index = Catalog(won.shop.storage).open(won.values["recommended"]["index"])
    assert index.retriever == "keyword+questions"
    assert Catalog(won.shop.storage).open(won.before).retriever is None


def test_evaluate_says_which_questions_chose_what_it_scores(
    won: Won, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(won.shop.folder)

    def said(index: str, retriever: str) -> str:
        done = run_app(
            *("evaluate", won.shop.questions, "--storage", won.shop.storage),
            *("--index", index, "--retriever", retriever),
        )
        assert done.exit_code == 0, done.stderr
        return " ".join(done.stderr.split())

    name = Path(won.values["results"]).name
    better = f"in {name}; on them it looks better than on new ones"
    winner = won.values["recommended"]["index"]
    told = said(winner, "keyword+questions")
    assert f"20 of these questions chose keyword and a chunk size of 64 {better}" in told
    assert f"20 of these questions chose a chunk size of 64 {better}" in said(winner, "exact")
    assert "chose" not in said(won.before, "exact")
    # A record of another sweep that is damaged tells nothing and costs nothing.
    damaged = (won.shop.folder / won.values["results"]).with_name("sweep-damaged")
    damaged.mkdir()
    (damaged / "chosen_by.json").write_text('{"retriever": "keyw')
    assert f"chose keyword and a chunk size of 64 {better}" in said(winner, "keyword+questions")


def test_query_uses_the_setting(won: Won, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(won.shop.folder)
    for number in (0, 7, 19, 33, 39):
        found = run_json("query", "-q", f"what at {PLACES[number]}?", "--llm", "none")
        # Only this document has the word; nearest vectors would have filled the three places.
        [only] = found["citations"]
        assert only["document"] == f"docs/d{number:02}.txt"
        assert "Pay" in only["text"]


def test_ingest_goes_on_with_the_setting(
    won: Won, ingested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(won.shop.folder)
    values = run_json("ingest", ingested / "docs")
    assert values["index"] == won.values["recommended"]["index"]
    assert values["unchanged"] == 40


def test_the_way_back(won: Won, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(won.shop.folder)
    again = run_app("index", "rollback", "--storage", won.shop.storage)
    assert again.stdout == f"{won.before} is in service again\n"
    run_app("index", "use", won.values["recommended"]["index"], "--storage", won.shop.storage)


# What people read


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_what_a_sweep_prints(shop: Shop) -> None:
    before = name_of(shop.storage)
    done = shop.sweep(*SIZES)
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip(" ─")]
    assert lines[0] == "settings chosen on 20 questions by hit@1, scored on 20 others:"
    assert cells(lines[1]) == [
        "tokens/overlap",
        "hit@1",
        "hit@3",
        "MRR@10",
        "hit@1024t",
    ]
    assert [cells(line)[0] for line in lines[2:4]] == ["32/0 vector", "64/0 keyword"]
    assert cells(lines[3])[1:] == ["1.00"] * 4
    assert cells(lines[6]) == [
        "tokens/overlap",
        "hit@1, change",
        "p",
        "chunks",
        "MB",
        "ms",
    ]
    assert cells(lines[7])[:2] == ["32/0 vector", "(current)"]
    assert re.fullmatch(r"\+(\.\d{3}|1\.00) \[\+(\.\d{3}|1\.00), \+1\.00\]", cells(lines[8])[1])
    assert cells(lines[8])[2:4] == ["<.001", "40"]
    assert lines[11] == "p: Holm-adjusted for the number of settings; ms: latency per question"
    assert lines[12].startswith("recommended: 64 tokens (overlap 0), keyword: hit_rate@1 +")
    assert "over the current 32 tokens (overlap 0), vector; " in lines[12]
    [folder] = (shop.storage / "results").iterdir()
    assert lines[13] == f"every question: {folder}"
    assert lines[14] == (
        f"index {name_of(shop.storage)} is in service and rag_app.toml has the setting; to go "
        f"back: `rag-app index use {before}`, and take model, chunk_size, chunk_overlap, "
        "retriever out of rag_app.toml"
    )
    assert lines[15] == f"report: {folder / 'report.html'}"
    assert len(lines) == 16


def test_neighbours_may_be_what_was_lacking(shop: Shop) -> None:
    values = shop.sweep_json(
        *("--chunk-sizes", "32", "--retriever", "keyword", "--retriever", "keyword+window:1"),
        *("--chunk-overlaps", "0", "--quiet", "--budget", "64"),
    )
    # Returned passages differ in length, so what chooses is what fits into the budget.
    assert values["metric"] == "hit_rate@64t"
    assert values["recommended"]["retriever"] == "keyword+questions+window:1"
    runs = {run["retriever"]: run for run in values["runs"]}
    assert runs["keyword+window:1"]["hit_rate@64t"]["mean"] == 1.0
    assert runs["keyword"]["hit_rate@64t"]["mean"] == 0.0
    # The index stays, only the retriever changes.
    assert values["recommended"]["index"] == name_of(shop.storage)
    assert values["promoted"] is True
    assert Catalog(shop.storage).open().retriever == "keyword+questions+window:1"


def test_a_weight_is_found_on_dev(shop: Shop) -> None:
    values = shop.sweep_json(
        *("--chunk-sizes", "64", "--retriever", "hybrid:auto", "--retriever", "keyword"), *COMPARE
    )
    [tuned] = [run for run in values["runs"] if run["retriever"].startswith("hybrid")]
    assert re.fullmatch(r"hybrid:(0|1|0\.\d)", tuned["retriever"])
    assert tuned["hit_rate@1"]["mean"] > 0.9
    # At equal sizes equal k is fair.
    assert values["metric"] == "hit_rate@1"


def test_on_few_questions_no_weights_are_learned(shop: Shop) -> None:
    options = ("--chunk-sizes", "64", "--retriever", "hybrid:learned", *COMPARE)
    values = shop.sweep_json(*options, "--no-promote")
    why = "20 questions are fewer than 40: nothing was learned, and hybrid:equal is used"
    assert values["learned"] == {"tiny 64/0 hybrid:learned": why}
    assert [run["retriever"] for run in values["runs"]][1:] == ["hybrid:equal"]
    done = shop.sweep(*options[:-1], "--no-promote")
    assert f"tiny 64/0 hybrid:learned: {why}" in " ".join(done.stderr.split())


# A sweep that changes nothing


def test_nothing_wins_and_nothing_changes(shop: Shop) -> None:
    shop.toml.write_text('retriever = "keyword+window:1"\n', "utf-8")
    before = name_of(shop.storage)
    ids = Catalog(shop.storage).open(before).chunk_ids()
    done = shop.sweep("--chunk-sizes", "32,64", "--retriever", "vector", *COMPARE)
    assert "your current setting stays: 32 tokens (overlap 0), keyword+window:1 is best" in (
        done.stdout
    )
    assert "recommended" not in done.stdout
    assert "in service" not in done.stdout
    assert name_of(shop.storage) == before
    assert Catalog(shop.storage).open(before).chunk_ids() == ids
    assert shop.toml.read_text("utf-8") == 'retriever = "keyword+window:1"\n'


def test_only_measuring_writes_no_settings(shop: Shop) -> None:
    before = name_of(shop.storage)
    values = shop.sweep_json(*SIZES, "--no-promote")
    assert (values["recommended"]["wins"], values["promoted"]) == (True, False)
    assert name_of(shop.storage) == before
    assert not shop.toml.exists()


def test_edited_documents_are_told_and_no_index_in_service_is_written(
    shop: Shop, ingested: Path
) -> None:
    name = name_of(shop.storage)
    before = Catalog(shop.storage).open(name).ordered_nodes()
    files = [ingested / "docs" / f"d{number:02}.txt" for number in (3, 7)]
    texts = [path.read_text("utf-8") for path in files]
    try:
        for path, text in zip(files, texts, strict=True):
            path.write_text(f"Moved. {text}", "utf-8")
        options = ("--chunk-sizes", "64", "--retriever", "keyword", *COMPARE[:-1])
        done = shop.sweep(*options, "--no-promote")
    finally:
        for path, text in zip(files, texts, strict=True):
            path.write_text(text, "utf-8")
    said = f"docs/d03.txt and 1 more changed since index '{name}' was brought up to date: all"
    assert said in " ".join(done.stderr.split())
    assert Catalog(shop.storage).open(name).ordered_nodes() == before
    assert name_of(shop.storage) == name


# Killed


def run_stage(shop: Shop, progress: Any) -> SweepResult:
    settings = Settings(storage=shop.storage, results=shop.folder / "results", device="cpu")
    grid = Grid(chunk_sizes=(32, 64), chunk_overlaps=(0,), retrievers=("vector", "keyword"))
    request = SweepRequest(
        grid=grid, questions=shop.questions, metric="hit_rate@1", results=settings.results
    )
    tools = make_tools(settings, None)
    return sweep(workspace_of(settings), request, tools=tools, progress=progress)


def test_killed_and_run_again(shop: Shop) -> None:
    before = name_of(shop.storage)

    def killed(step: str, _done: int, _total: int, _note: str = "") -> None:
        if step == "embed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(shop, killed)
    assert name_of(shop.storage) == before
    steps = []
    result = run_stage(shop, lambda step, *_: steps.append(step))
    assert "index" in steps
    # The vectors of the run that was killed are kept.
    assert "embed" not in steps
    assert result.promoted
    # The stage searches the known questions only where it is told to.
    assert {**result.settings} == {**WINNER, "retriever": "keyword"}


def test_a_sweep_says_promoted_only_where_it_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = name_of(shop.storage)

    def said() -> Any:
        [summary] = (shop.folder / "results").glob("*/sweep.json")
        return json.loads(summary.read_text("utf-8"))["promoted"]

    def fails(catalog: Catalog, name: str) -> None:
        assert said() is None
        assert catalog.open(name).retriever == "keyword"
        raise IndexLocked("another process writes")

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "put_into_service", fails)
        with pytest.raises(IndexLocked):
            run_stage(shop, silent)
    assert said() is False
    assert name_of(shop.storage) == before
    assert run_stage(shop, silent).promoted
    assert said() is True


# What is kept


def test_another_request_is_another_run_and_the_same_replaces_its_own(shop: Shop) -> None:
    few = ("--chunk-sizes", "32", *COMPARE, "--no-promote")
    words, window = ("--retriever", "keyword"), ("--retriever", "keyword+window:1")
    first = Path(shop.sweep_json(*few, *words)["results"])
    assert re.fullmatch("sweep-[0-9a-f]{8}", first.name)
    (first / "stale.jsonl").write_text("of an earlier version", "utf-8")
    second = Path(shop.sweep_json(*few, *window)["results"])
    assert first != second
    assert (first / "stale.jsonl").exists()
    diff = run_json("runs", "diff", first.name, second.name, "--storage", shop.storage)
    assert diff["settings"]
    again = Path(shop.sweep_json(*few, *words)["results"])
    assert again == first
    assert sorted(path.name for path in first.glob("*.jsonl")) == [
        "passages.jsonl",
        "tiny-32-0-keyword.jsonl",
        "tiny-32-0-vector.jsonl",
    ]
    # Other questions are another request, whatever their file is called.
    write_questions_of(shop, 30)
    assert Path(shop.sweep_json(*few, *words)["results"]) not in (first, second)
    assert len(list((shop.storage / "results").iterdir())) == 3


def write_questions_of(shop: Shop, count: int) -> None:
    """The first so many questions of the file alone."""
    lines = shop.questions.read_text("utf-8").splitlines()
    shop.questions.write_text("\n".join(lines[:count]), "utf-8")


def test_a_long_name_of_a_reranker_is_no_name_of_a_file(shop: Shop) -> None:
    long = shop.folder / ("a" * 120) / ("b" * 120)
    judges = [make_tiny_cross_encoder(long / name, words=WORDS) for name in ("one", "two")]
    options = [part for one in judges for part in ("--retriever", f"keyword+rerank:{one}")]
    values = shop.sweep_json("--chunk-sizes", "32", *options, *COMPARE, "--no-promote")
    names = [run["outcomes"] for run in values["runs"]]
    assert len(set(names)) == 3
    for name in names:
        assert len(name) <= 90
        assert (Path(values["results"]) / name).is_file()


# Questions


def test_questions_on_what_a_model_was_trained_on_are_left_out(shop: Shop) -> None:
    tiny = shop.storage / "models" / "tiny"
    write_training_documents(tiny, [f"docs/d{number:02}.txt" for number in range(10)])
    options = ("--chunk-sizes", "32", "--retriever", "keyword", *COMPARE, "--no-promote")
    values = shop.sweep_json(*options)
    assert values["trained_on"] == 10
    assert values["split"] == {"dev": 15, "test": 15}
    assert {run["n"] for run in values["runs"]} == {15}
    told = shop.sweep(*options).stderr
    assert "10 questions were left out: a tuned model was trained on their documents" in told
    write_training_documents(tiny, [f"docs/d{number:02}.txt" for number in range(40)])
    check_error(
        *shop.arguments("--quiet"),
        kind="PairsError",
        says="all questions are about documents that one of the models was trained on; name",
    )


def test_a_model_trained_here_leaves_its_questions_out_for_all(shop: Shop) -> None:
    tuned = make_tiny_model(shop.storage / "models" / "tuned", words=WORDS, seed=2)
    write_training_documents(tuned, ["docs/d00.txt"])
    both = ("--model", "tiny", "--model", "tuned")
    values = shop.sweep_json("--chunk-sizes", "32", "--retriever", "vector", *both, *COMPARE)
    assert values["trained_on"] == 1
    assert {run["model"]: run["n"] for run in values["runs"]} == {"tiny": 19, "tuned": 19}


def test_questions_that_taught_the_present_weights_are_left_out(shop: Shop) -> None:
    index = Catalog(shop.storage).open()
    taught = tuple(question_id(f"what at {place}?") for place in PLACES[:10])
    learned = LearnedFusion({"keyword": 1.0}, "rag-app sweep", 10, question_ids=taught)
    index.keep_fusion(learned.to_json())
    index.keep_retriever("hybrid:learned")
    options = ("--chunk-sizes", "32", "--retriever", "keyword", *COMPARE, "--no-promote")
    values = shop.sweep_json(*options)
    assert values["trained_on"] == 10
    assert values["split"] == {"dev": 15, "test": 15}
    # Another present setting learned from nothing.
    shop.toml.write_text('retriever = "vector"\n', "utf-8")
    assert shop.sweep_json(*options)["trained_on"] == 0


def test_questions_of_other_documents_are_counted(shop: Shop) -> None:
    with shop.questions.open("a", encoding="utf-8") as file:
        file.write('\n{"question": "and there?", "document": "elsewhere/x.txt"}')
    done = shop.sweep("--chunk-sizes", "32", "--retriever", "keyword", *COMPARE, "--no-promote")
    assert "1 of 41 questions left out, since their answers are not in the index" in done.stderr


def test_questions_that_cannot_choose(shop: Shop, ingested: Path) -> None:
    write_questions(ingested / "few.jsonl", range(19))
    few = ("sweep", "--questions", ingested / "few.jsonl", "--storage", shop.storage, "--quiet")
    check_error(
        *few,
        kind="PairsError",
        says="19 questions are too few to choose a setting by some and report on others; label at "
        "least 20, or write some with `rag-app questions`",
    )
    shop.questions.write_text('{"question": "there?", "document": "elsewhere/x.txt"}', "utf-8")
    check_error(
        *shop.arguments("--quiet"),
        kind="PairsError",
        says="none of the 1 answers in",
    )
    check_error(
        *("sweep", "--storage", shop.storage, "--quiet", "--llm", "none"),
        kind="PairsError",
        says="there are no questions to compare settings by; name labelled ones: `rag-app sweep "
        "--questions FILE`, or write some: `rag-app questions`",
    )
    check_error(
        *("sweep", "--questions", "none.jsonl", "--storage", shop.storage, "--quiet"),
        kind="PairsError",
        says="none.jsonl",
    )


@pytest.mark.slow
def test_questions_that_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the sample corpus and the default model, with questions from its headings."""
    monkeypatch.chdir(tmp_path)
    for args in (
        ("ingest", ROOT / "data" / "en" / "orders", "--quiet"),
        ("questions", "--llm", "none", "--quiet"),
    ):
        done = run_app(*args)
        assert done.exit_code == 0, done.stderr
    values = run_json("sweep", "--chunk-sizes", "64,256", "--llm", "none", "--quiet")
    assert values["split"]["dev"] + values["split"]["test"] >= 20
    assert values["metric"] == "hit_rate@1024t"
    # Nothing is learned on so few: a fixed weight stands beside the one that was found.
    assert len(values["runs"]) == 2 * 4
    assert len(values["learned"]) == 2
    assert values["runs"][0]["name"] == "all-MiniLM-L6-v2 256/32 vector"
    assert values["runs"][0]["hit_rate@10"]["mean"] > 0.5
    assert values["recommended"]["wins"] is values["promoted"]


# Bad input


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        (("--metric", "luck"), "ConfigError", "--metric is 'luck'; it takes one of: hit_rate@1, "),
        (("--metric", "hit_rate@64t"), "ConfigError", "ndcg@10, hit_rate@1024t"),
        (("--chunk-sizes", "128,big"), "ConfigError", "--chunk-sizes is '128,big'; it takes num"),
        (("--chunk-sizes", ""), "ConfigError", "--chunk-sizes is empty; give it a value"),
        (("--chunk-overlaps", "-1"), "ConfigError", "--chunk-overlaps is '-1'; it takes numbers"),
        (("--chunk-overlaps", "200"), "ConfigError", "200, more than half of chunk_size 128"),
        (("--grid", "none.toml"), "ConfigError", "none.toml cannot be read as a grid"),
        (("--retriever", "magic"), "ConfigError", "unknown retriever 'magic'"),
        (("--retriever", "vector+hyde"), "ConfigError", "hyde asks a language model"),
        (("--today", "soon"), "ConfigError", "--today is 'soon'; write a date such as"),
        (("--model", "nobody/nothing"), "ModelError", "'nobody/nothing' was not found"),
        (("--index", "nope"), "IndexMissing", "there is no index 'nope'"),
    ],
)
def test_one_message_each(shop: Shop, options: tuple[str, ...], kind: str, says: str) -> None:
    check_error(*shop.arguments(*options, "--quiet", "--llm", "none"), kind=kind, says=says)


def test_models_that_a_table_could_not_tell_apart(shop: Shop) -> None:
    shutil.copytree(shop.storage / "models" / "tiny", shop.storage / "x" / "tiny")
    options = ("--model", "tiny", "--model", str(shop.storage / "x" / "tiny"))
    check_error(
        *shop.arguments(*options, "--quiet", "--llm", "none"),
        kind="ConfigError",
        says="are both called tiny; leave",
    )


def test_the_present_setting_may_ask_a_language_model(shop: Shop) -> None:
    shop.toml.write_text('retriever = "vector+hyde"\n', "utf-8")
    check_error(
        *shop.arguments("--retriever", "vector", "--quiet", "--llm", "none"),
        kind="ConfigError",
        says="hyde asks a language model and there is none",
    )
    with FakeEndpoint(lambda _: completion("Near the red door.")) as fake:
        endpoint = ("--llm", "endpoint", "--llm-base-url", fake.url, "--llm-model", "gemma")
        options = ("--chunk-sizes", "32", "--retriever", "keyword", *COMPARE, *endpoint)
        values = shop.sweep_json(*options)
        assert [run["name"] for run in values["runs"]] == [
            "tiny 32/0 vector+hyde",
            "tiny 32/0 keyword",
        ]
        # 20 for dev, 20 for test, and test's again for the time that a new question takes.
        assert len(fake.requests) == 60


def test_a_settings_file_that_cannot_be_read(shop: Shop) -> None:
    shop.toml.write_text("retriever = \n", "utf-8")
    check_error(*shop.arguments("--quiet"), kind="ConfigError", says="rag_app.toml cannot be read")


def test_a_document_that_is_gone(shop: Shop, ingested: Path) -> None:
    path = ingested / "docs" / "d00.txt"
    text = path.read_text("utf-8")
    path.unlink()
    try:
        check_error(
            *shop.arguments("--quiet"),
            kind="DocumentError",
            says="run `rag-app ingest` on its folder, then sweep again",
        )
    finally:
        path.write_text(text, "utf-8")


def test_no_index_yet(tmp_path: Path) -> None:
    check_error(
        *("sweep", "--storage", tmp_path / "empty"),
        kind="IndexMissing",
        says="run `rag-app ingest PATH` first",
    )


def test_chunks_longer_than_the_model_reads_are_told(shop: Shop) -> None:
    done = shop.sweep(*("--chunk-sizes", "128", "--retriever", "vector", *COMPARE), "--no-promote")
    assert (
        "tiny reads 64 tokens of a text: of chunks of 128 tokens its search does not see the ends"
    ) in done.stderr


def test_a_model_that_is_no_longer_what_made_the_index(shop: Shop) -> None:
    shutil.rmtree(shop.storage / "models" / "tiny")
    make_tiny_model(shop.storage / "models" / "tiny", words=WORDS, seed=5)
    check_error(*shop.arguments("--quiet"), kind="IndexMismatch", says="was made with tiny")
