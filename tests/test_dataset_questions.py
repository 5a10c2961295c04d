"""Questions that bring their own passages: no ingest, an index found by its content, two commands.

As in shop.py, a passage is about a colour and a thing, and questions name both by
synonyms that no passage holds.
"""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from tiny import make_tiny_model
from typer.testing import CliRunner

from rag_app.chunks import WHOLE_PASSAGES
from rag_app.cli.app import build_app
from rag_app.documents.tables import text_part
from rag_app.errors import PairsError
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.prepare import open_base
from rag_app.finetune.request import FinetuneRequest
from rag_app.index import (
    Catalog,
    CorpusIndex,
    IndexInfo,
    VectorCache,
    Workspace,
    copy_chunks,
    index_corpus,
)
from rag_app.pairs import open_dataset, read_corpus, tuned_from

pytestmark = pytest.mark.usefixtures("single_thread")

COLOURS = {f"colour{i}": f"hue{i}" for i in range(7)}
THINGS = {f"thing{i}": f"item{i}" for i in range(6)}
NOISE = [f"noise{i}" for i in range(60)]
WORDS = [*COLOURS, *COLOURS.values(), *THINGS, *THINGS.values(), *NOISE, "which", "any", "do"]
TRAINING = ("--epochs", "8", "--batch-size", "8", "--learning-rate", "3e-3", "--max-tokens", "32")


def dataset(seed: int, count: int = 40) -> dict[str, Any]:
    """Passages numbered from 0 on, of unlike noise, with two questions each."""
    rng = random.Random(seed)  # noqa: S311
    meant = [(colour, thing) for colour in COLOURS for thing in THINGS][:count]
    corpus, queries, relevant = {}, {}, {}
    for number, (colour, thing) in enumerate(meant):
        one, two, three, four = rng.sample(NOISE, 4)
        corpus[str(number)] = f"{one} {colour} {thing} {two} {three} {thing} {colour} {four}"
        for word in ("which", "any"):
            query = f"{word}-{number}"
            queries[query] = f"{word} {COLOURS[colour]} {THINGS[thing]} do {seed}"
            relevant[query] = [str(number)]
    return {"queries": queries, "corpus": corpus, "relevant_docs": relevant, "mode": "text"}


def write_json(path: Path, data: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(data), "utf-8")
    return path


def write_beir(folder: Path, data: Mapping[str, Any]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", data["corpus"]), ("queries", data["queries"])):
        rows = ({"_id": key, "text": text} for key, text in texts.items())
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    judged = [f"{query}\t{one}\t1" for query, [one] in data["relevant_docs"].items()]
    lines = ["query-id\tcorpus-id\tscore", *judged]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines), "utf-8")
    return folder


# Reading and indexing.


def test_the_passages_of_a_file_are_documents_whose_ids_know_their_text(tmp_path: Path) -> None:
    data = dataset(1, count=3)
    data["corpus"] |= {"blank": " ", "copy": data["corpus"]["0"]}
    read = read_corpus(write_json(tmp_path / "a.json", data))
    assert read is not None
    assert [document.text for document in read] == [
        text for key, text in sorted(data["corpus"].items()) if key != "blank"
    ]
    ids = [document.id_ for document in read]
    assert [one.split("#")[0] for one in ids] == ["0", "1", "2", "copy"]
    assert ids[0].split("#")[1] == ids[3].split("#")[1]
    beir = read_corpus(write_beir(tmp_path / "beir", data))
    assert beir is not None
    assert [document.id_ for document in beir] == ids
    other = read_corpus(write_json(tmp_path / "b.json", dataset(2, count=3)))
    assert other is not None
    assert not {document.id_ for document in other} & set(ids)


def test_what_brings_no_passages(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer\nq,a\n", "utf-8")
    (tmp_path / "docs").mkdir()
    for path in (tmp_path / "q.csv", tmp_path / "docs", tmp_path / "none.json"):
        assert read_corpus(path) is None
    (tmp_path / "bad.json").write_text("{", "utf-8")
    with pytest.raises(PairsError, match=r"bad\.json is not JSON"):
        read_corpus(tmp_path / "bad.json")


def make(storage: Path, texts: Mapping[str, str], *, name: str, **model: Any) -> CorpusIndex:
    storage.mkdir(exist_ok=True)
    data = {"queries": {}, "corpus": texts, "relevant_docs": {}}
    documents = read_corpus(write_json(storage / "corpus.json", data))
    assert documents is not None
    return index_corpus(
        Catalog(storage),
        documents,
        WordModel(**model),
        name=name,
        cache=VectorCache(storage),
    )


def test_an_index_of_passages_is_made_once_and_found_by_its_content(tmp_path: Path) -> None:
    texts = {"a": "One passage. " * 40, "b": "# Two\n\nAnother passage.", "c": "Three"}
    made = make(tmp_path, texts, name="My Train_set, v1", max_tokens=50)
    assert (made.made, made.cut) == (True, 1)
    assert made.index.name.startswith("my-train-set-")
    # Whole, however long, and headings inside.
    kept = sorted(node.text for node in made.index.nodes())
    assert kept == sorted(text.strip() for text in texts.values())
    catalog = Catalog(tmp_path)
    assert catalog.active.current() is None
    turned = dict(reversed(texts.items()))
    again = make(tmp_path, turned, name="renamed", max_tokens=50)
    assert (again.index.name, again.made) == (made.index.name, False)
    for other in ({"texts": texts | {"c": "Four"}}, {"texts": texts, "seed": 1}):
        assert make(tmp_path, name="x", **({"max_tokens": 50} | other)).made
    assert len(catalog.names()) == 3


def test_a_half_made_index_is_completed(tmp_path: Path) -> None:
    texts = {str(number): f"passage {number}" for number in range(5)}
    made = make(tmp_path, texts, name="x")
    made.index.delete(made.index.chunk_ids()[:2])
    again = make(tmp_path, texts, name="x")
    assert (again.made, again.index.count()) == (True, 5)


# The commands.


def run_app(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(build_app(), [str(one) for one in arguments])
    assert done.exit_code == 0, done.stderr
    return done


def run_json(*arguments: str | Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run_app(*arguments, "--json").stdout)
    return values


def indexes() -> dict[str, Any]:
    found = run_json("index", "list")
    return {one["name"]: one["model"] for one in found["indexes"]} | {"active": found["active"]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a storage that holds the model "tiny"."""
    make_tiny_model(tmp_path / "storage" / "models" / "tiny", words=WORDS)
    monkeypatch.chdir(tmp_path)
    # Chroma knows its open stores by their paths, as they were named.
    monkeypatch.setenv("RAG_APP_STORAGE", str(tmp_path / "storage"))
    return tmp_path


@pytest.mark.parametrize("kind", ["json", "beir"])
def test_evaluate_needs_no_ingest_and_puts_nothing_into_service(here: Path, kind: str) -> None:
    data = dataset(3, count=8)
    path = write_json(here / "v.json", data) if kind == "json" else write_beir(here / "v", data)
    first = run_app("evaluate", path, "--model", "tiny", "--quiet")
    assert "tiny: tiny, exact" in first.stdout
    made = indexes()
    assert made.pop("active") is None
    [(name, model)] = made.items()
    assert (name.startswith("v-"), model) == (True, "tiny")
    values = run_json("evaluate", path, "--model", "tiny")
    assert [(run["model"], run["n"]) for run in values["runs"]] == [("tiny", 16)]
    assert values["unmatched"] == 0
    assert indexes() == {name: "tiny", "active": None}
    assert " whole " in run_app("index", "list").stdout


def test_a_beir_folder_is_scored_on_its_test_part(here: Path) -> None:
    folder = write_beir(here / "v", dataset(3, count=8))
    lines = (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()
    (folder / "qrels" / "dev.tsv").write_text("\n".join(lines[:7]), "utf-8")
    (folder / "qrels" / "test.tsv").write_text("\n".join([lines[0], *lines[7:]]), "utf-8")
    done = run_app("evaluate", folder, "--model", "tiny")
    assert "10 questions" in done.stdout
    said = "".join(done.stderr.split())
    assert f"{folder}/qrels/test.tsv:10judgements" in said
    [run] = run_json("evaluate", folder / "qrels" / "dev.tsv", "--model", "tiny")["runs"]
    assert run["n"] == 6
    assert len(indexes().keys() - {"active"}) == 1  # One collection, whichever part is asked.


def test_the_settings_name_a_model_as_well(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_APP_MODEL", "tiny")
    path = write_json(here / "v.json", dataset(3, count=8))
    assert [run["model"] for run in run_json("evaluate", path)["runs"]] == ["tiny"]


def test_an_index_in_service_that_holds_the_passages_is_asked(here: Path) -> None:
    path = write_json(here / "v.json", dataset(3, count=8))
    run_app("ingest", path, "--model", "tiny", "--chunk-size", "48", "--chunk-overlap", "0")
    before = indexes()
    [run] = run_json("evaluate", path)["runs"]
    assert (run["name"], run["n"]) == (before["active"], 16)
    assert indexes() == before
    # Other models over its chunks, as of any index.
    make_tiny_model(here / "storage" / "models" / "second", words=WORDS, seed=1)
    runs = run_json("evaluate", path, "--model", "second", "--model", "tiny")["runs"]
    assert [(run["model"], run["n"]) for run in runs] == [("second", 16), ("tiny", 16)]
    assert indexes() == before
    # Of other passages one is made beside it, with the model in service.
    other = write_json(here / "w.json", dataset(4, count=8))
    said = run_app("evaluate", other)
    assert "w.json brings its own 8 passages: index w-" in said.stderr
    assert len(indexes()) == len(before) + 1
    assert indexes()["active"] == before["active"]


def test_a_broken_index_stands_in_nobodys_way(here: Path) -> None:
    make_tiny_model(here / "storage" / "models" / "second", words=WORDS, seed=1)
    workspace = Workspace(here / "storage", device="cpu")
    dataset_index = open_dataset(
        workspace, write_json(here / "v.json", dataset(3, count=8)), model="tiny"
    )
    assert dataset_index is not None
    source, second = dataset_index.index, workspace.load_model("second")
    info = IndexInfo.of(second, WHOLE_PASSAGES, base_model="tiny")
    tuned = workspace.catalog.make("tuned", info)
    copy_chunks(source, tuned, model=second, cache=workspace.cache)
    bad = here / "storage" / "indexes" / "bad" / "chroma" / "chroma.sqlite3"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no database " * 1000)
    base = open_base(TrainingContext(workspace), FinetuneRequest(), tuned)
    assert base.index.name == source.name
    assert tuned_from(workspace, "tiny") == "second"


@pytest.mark.slow
def test_train_on_one_and_score_on_another_in_two_commands(here: Path) -> None:
    train = write_json(here / "train.json", dataset(1))
    val = write_json(here / "val.json", dataset(2))
    tuned = run_json("finetune", "--pairs", train, "--model", "tiny", *TRAINING)
    assert sum(tuned["split"].values()) == 80
    assert tuned["base_index"].startswith("train-")
    after = indexes()
    assert after["active"] == (tuned["index"] if tuned["promoted"] else tuned["base_index"])
    values = run_json("evaluate", val)
    assert [run["model"] for run in values["runs"]] == ["tiny", Path(tuned["model"]).name]
    assert [run["n"] for run in values["runs"]] == [80, 80]
    assert values["runs"][1]["against_first"]["verdict"] in ("promote", "hold", "reject")
    scored = indexes()
    [made] = scored.keys() - after.keys()
    assert (made.startswith("val-"), scored["active"]) == (True, after["active"])
    # Again: the same indexes, the same model, no harm to the other's passages.
    assert run_json("finetune", "--pairs", train, *TRAINING)["model"] == tuned["model"]
    assert indexes().keys() == scored.keys()
    assert Catalog(here / "storage").open(made).count() == 40
    # Documents that are ingested now are cut, and do not end among the passages.
    (here / "docs").mkdir()
    (here / "docs" / "a.md").write_text("which item", "utf-8")
    assert run_json("ingest", here / "docs")["index"] not in scored
    assert Catalog(here / "storage").open(tuned["base_index"]).count() == 40


@pytest.mark.slow
def test_a_dataset_does_not_take_the_place_of_what_is_in_service(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.md").write_text("which item", "utf-8")
    own = run_json("ingest", here / "docs", "--model", "tiny")["index"]
    train = write_beir(here / "train", dataset(1))
    tuned = run_json("finetune", "--pairs", train, *TRAINING)
    assert (tuned["promoted"], indexes()["active"]) == (False, own)


SWEEP = ("--chunk-sizes", "16", "--chunk-overlaps", "0", "--retriever", "vector", "--no-promote")


@pytest.mark.parametrize("kind", ["json", "beir"])
def test_a_sweep_reads_the_passages_from_their_dataset(
    here: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    data = dataset(3, count=12)
    path = write_json(here / "v.json", data) if kind == "json" else write_beir(here / "v", data)
    run_app("evaluate", path.name, "--model", "tiny")
    # Named as seen from one folder, and swept from another.
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    swept = run_json("sweep", "--questions", path, "--index", "v-", *SWEEP)
    assert [(run["chunk_size"], run["n"]) for run in swept["runs"]] == [(1_000_000, 12), (16, 12)]
    made = Catalog(here / "storage").open(swept["runs"][1]["index"])
    assert sorted(node.text for node in made.nodes()) == sorted(data["corpus"].values())
    assert [run["name"] for run in swept["runs"]] == ["tiny whole vector", "tiny 16/0 vector"]
    said = run_app("sweep", "--questions", path, "--index", "v-", *SWEEP)
    assert "your current setting stays: whole passages, vector is best" in said.stdout
    assert "does not see the ends" not in said.stderr
    shown = (Path(swept["results"]) / "report.md").read_text("utf-8")
    assert "| vector | whole |" in shown


def test_a_sweep_says_which_passage_is_no_longer_in_the_dataset(here: Path) -> None:
    data = dataset(3, count=8)
    path = write_json(here / "v.json", data)
    kept = write_json(here / "kept.json", data)
    run_app("evaluate", path, "--model", "tiny")
    [name] = indexes().keys() - {"active"}
    for change in ({"0": "Another text."}, None):
        if change is None:
            path.unlink()
        else:
            write_json(path, data | {"corpus": data["corpus"] | change})
        done = CliRunner().invoke(
            build_app(), ["sweep", "--questions", str(kept), "--index", name, *SWEEP]
        )
        assert done.exit_code == 2
        said = " ".join(done.stderr.split())
        assert (
            f"0#{text_part(data['corpus']['0'])}, a passage of index {name}, is no longer" in said
        )
        assert f"make an index of what is there now, `rag-app evaluate {path}`" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("finetune", "--pairs", "q.csv", "--model", "other"),
            "the model to tune is other (--model or --dimensions), but index",
        ),
        (("evaluate", "w.json", "--model=tiny", "--retriever=vector"), "--model has none"),
    ],
)
def test_what_does_not_fit(here: Path, arguments: tuple[str, ...], says: str) -> None:
    path = write_json(here / "v.json", dataset(3, count=8))
    write_json(here / "w.json", dataset(4, count=8))
    (here / "q.csv").write_text("question,answer\nq,a\n", "utf-8")
    run_app("ingest", path, "--model", "tiny", "--chunk-size", "48", "--chunk-overlap", "0")
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 2, done.stderr
    assert says in done.stderr
