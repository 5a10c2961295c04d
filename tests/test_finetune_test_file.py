"""`finetune --test`: a file of questions of its own gives the verdict."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import COLOURS, DOCUMENTS, THINGS, Shop, open_shop
from tiny import one_thread

from rag_app.errors import ConfigError, PairsError
from rag_app.finetune.request import FinetuneRequest
from rag_app.index import read_known
from rag_app.pairs import SplitOptions

pytestmark = pytest.mark.slow
# Pairs are about thirty documents, the test about the ten others, each fourth, and thirteen.
NEW = DOCUMENTS[3::4]
TRAINED = [document for document in DOCUMENTS if document not in NEW]


def write_rows(path: Path, words: str, documents: list[tuple[str, str]]) -> list[str]:
    """A line for each document; returns the questions."""
    rows = [
        {
            "question": words.format(COLOURS[colour], THINGS[thing]),
            "document": f"docs/{colour}-{thing}.txt",
        }
        for colour, thing in documents
    ]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return [row["question"] for row in rows]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    questions = folder / "pairs.jsonl"
    write_rows(questions, "which {} {} do you sell", TRAINED)
    write_rows(questions, "any {} {}", TRAINED)
    with one_thread():
        yield open_shop(folder, questions)


@pytest.fixture(scope="module")
def test_file(shop: Shop) -> Path:
    path = shop.questions.with_name("test.jsonl")
    write_rows(path, "which {} {} do you sell", NEW)
    write_rows(path, "do you sell {} {}", TRAINED[:12])
    # The very question of a pair.
    write_rows(path, "any {} {}", TRAINED[12:13])
    return path


def test_the_file_gives_the_verdict_and_stays_out_of_the_refit(shop: Shop, test_file: Path) -> None:
    result, _ = shop.finetune(test=test_file)
    # Of 60 pairs one asks what the test asks; a tenth of the others is for dev.
    assert result.data.split == {"train": 53, "dev": 6, "test": 10, "known": 13}
    assert (result.data.test_is_given, result.data.repeat_test) == (True, 1)
    held_out = result.judgement.held_out
    assert {what: one.n for what, one in held_out.items()} == {"documents": 10, "questions": 13}
    asked = {outcome.question for one in held_out.values() for outcome in one.tuned_outcomes}
    rows = map(json.loads, test_file.read_text("utf-8").splitlines())
    assert asked == {row["question"] for row in rows}
    assert result.promoted
    assert result.refit
    assert result.refit.pairs == 59
    known = read_known(shop.workspace.open(result.index, model="tiny").index)
    assert not asked & {question for one in known.values() for question in one.questions}


def test_a_beir_folder_is_judged_by_its_own_test(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [
        {"_id": f"{colour}-{thing}", "title": "", "text": f"{colour} {thing} {place}"}
        for place, (colour, thing) in enumerate(DOCUMENTS)
    ]
    queries = [
        {"_id": f"q-{colour}-{thing}", "text": f"which {COLOURS[colour]} {THINGS[thing]}"}
        for colour, thing in DOCUMENTS
    ]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")
    for name, documents in (("train", TRAINED), ("test", NEW)):
        lines = "".join(f"q-{c}-{t}\t{c}-{t}\t1\n" for c, t in documents)
        (folder / "qrels" / f"{name}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}")
    request = FinetuneRequest(pairs=folder, split=SplitOptions(held_out="auto"))
    assert request.judged_by == folder / "qrels" / "test.tsv"
    # Whoever asks for another split gets one of the training judgements.
    assert FinetuneRequest(pairs=folder, split=SplitOptions(folds=5)).judged_by is None
    result, _ = shop.finetune(
        pairs=folder, model="tiny", promote=False, split=SplitOptions(held_out="auto")
    )
    assert result.data.split == {"train": 27, "dev": 3, "test": 10, "known": 0}


def test_two_datasets_are_searched_together(shop: Shop, tmp_path: Path) -> None:
    def dataset(name: str, documents: list[tuple[str, str]]) -> Path:
        names = [f"{colour}-{thing}" for colour, thing in documents]
        values = {
            "queries": {f"q-{c}-{t}": f"which {COLOURS[c]} {THINGS[t]}" for c, t in documents},
            "corpus": dict(zip(names, map(" ".join, documents), strict=True)),
            "relevant_docs": {f"q-{one}": [one] for one in names},
        }
        path = tmp_path / name
        path.write_text(json.dumps(values), "utf-8")
        return path

    train, val = dataset("train.json", TRAINED), dataset("val.json", NEW)
    result, _ = shop.finetune(pairs=train, test=val, model="tiny", promote=False)
    assert result.data.split == {"train": 27, "dev": 3, "test": 10, "known": 0}
    assert result.data.unmatched.count == 0
    index = shop.workspace.catalog.open(result.base_index)
    assert len(index.chunk_ids()) == 40


def test_what_contradicts_a_test_file_is_refused(shop: Shop, test_file: Path) -> None:
    for split, flag in (
        (SplitOptions(folds=5), "--folds"),
        (SplitOptions(held_out="both"), "--held-out"),
        (SplitOptions(test_share=0.2), "--test-share"),
    ):
        with pytest.raises(ConfigError, match=f"is the test, so leave out {flag}"):
            FinetuneRequest(pairs=shop.questions, test=test_file, split=split)
    with pytest.raises(
        PairsError, match="60 of 60 pairs ask what a question of the test file asks"
    ):
        shop.finetune(test=shop.questions)
