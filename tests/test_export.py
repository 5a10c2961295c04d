"""Runs, pairs and models for other programs say the same there as they do here."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from conftest import ROOT
from ir_measures import RR, Success, nDCG
from test_gate import outcome
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app
from rag_app.errors import PairsError
from rag_app.evaluate.scoring import Outcome, write_outcomes
from rag_app.evaluate.statistics import summarise
from rag_app.evaluate.stored import RetrievalRun, RunSetting, read_runs
from rag_app.evaluate.trec import write_trec
from rag_app.export.folder import said_by_card
from rag_app.finetune.loading import sentence_transformers_code
from rag_app.models import load_model
from rag_app.models.query_map import QueryMap, add_query_map

pytestmark = pytest.mark.usefixtures("single_thread")
MEASURES = {**{f"hit_rate@{k}": Success @ k for k in range(1, 11)}, "mrr@10": RR @ 10}


def run_app(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments])


def trec_figures(folder: Path, name: str, measures: list[Any]) -> dict[Any, float]:
    """What ir-measures (pytrec_eval underneath) makes of the files."""
    judged = list(ir_measures.read_trec_qrels(str(folder / f"{name}.qrels")))
    ranked = list(ir_measures.read_trec_run(str(folder / f"{name}.run")))
    return dict(ir_measures.calc_aggregate(measures, judged, ranked))


# TREC


def test_trec_figures_of_real_runs_are_ours(tmp_path: Path) -> None:
    done = run_app("export", "trec", ROOT / "data" / "ci", tmp_path / "trec", "--json")
    assert done.exit_code == 0, done.stderr
    runs = read_runs(ROOT / "data" / "ci")
    assert len(runs) == 3
    endings = ("run", "qrels", "queries.tsv")
    assert json.loads(done.stdout)["files"] == [
        f"{run.place.stem}.{ending}" for run in runs for ending in endings
    ]
    for run in runs:
        ours = summarise(run.outcomes, seed=13)
        found = trec_figures(tmp_path / "trec", run.place.stem, list(MEASURES.values()))
        for name, measure in MEASURES.items():
            assert found[measure] == pytest.approx(ours[name].mean, abs=1e-9), name


def test_a_question_that_nothing_answers_counts_as_a_miss(tmp_path: Path) -> None:
    """Ranks 1 and 4, one that was not found, one whose answer is in no chunk, one empty ranking."""
    values = outcome(0, None).values
    outcomes = [
        outcome(0, 1),
        outcome(1, 4),
        outcome(2, None),
        Outcome("q 3", "asked\twith\na tab", "d3", [[]], ["a b", "c"], [2.0, 1.0], None, values),
        Outcome("q4", "asked", "d4", [["right"]], [], [], None, values),
    ]
    write_trec(tmp_path, [RetrievalRun(Path("some.jsonl"), RunSetting(), outcomes)])
    found = trec_figures(tmp_path, "some", [Success @ 1, Success @ 5, RR @ 10, nDCG @ 10])
    assert found[Success @ 1] == pytest.approx(1 / 5)
    assert found[Success @ 5] == pytest.approx(2 / 5)
    assert found[RR @ 10] == pytest.approx((1 + 1 / 4) / 5)
    assert found[nDCG @ 10] == pytest.approx((1 + 1 / math.log2(5)) / 5)
    assert (tmp_path / "some.run").read_text().splitlines()[-2:] == [
        "q%203 Q0 a%20b 1 2 some",
        "q%203 Q0 c 2 1 some",
    ]
    assert "q%203 0 answer-in-no-chunk 1\n" in (tmp_path / "some.qrels").read_text()
    assert "q%203\tasked with a tab\n" in (tmp_path / "some.queries.tsv").read_text()


def test_larger_pieces_are_refused(tmp_path: Path) -> None:
    found = outcome(0, 2)
    found.retrieved[1] = "a piece around it"
    with pytest.raises(PairsError, match=r"larger than a chunk .window or parent."):
        write_trec(tmp_path, [RetrievalRun(Path("some.jsonl"), RunSetting(), [found])])
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_one_message(tmp_path: Path) -> None:
    done = run_app("export", "trec", tmp_path / "gone", tmp_path / "trec")
    assert done.exit_code == 2
    assert "gone is no run: there is no such file or folder" in done.stderr
    write_outcomes(tmp_path / "run.jsonl", [outcome(0, 1)])
    (tmp_path / "file").write_text("")
    done = run_app("export", "trec", tmp_path / "run.jsonl", tmp_path / "file")
    assert (done.exit_code, "a file is there" in done.stderr) == (2, True)


# BEIR


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two documents, their questions, and a storage with their index."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "docs").mkdir()
    (folder / "docs" / "a.md").write_text("The lamp glows for nine hours.", "utf-8")
    (folder / "docs" / "b.md").write_text("The door opens at noon.", "utf-8")
    rows = [
        {"question": "how long does it glow", "document": "a.md"},
        {"question": "when does it open", "document": "b.md"},
        {"question": "who is there", "document": "gone.md"},
    ]
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    make_tiny_model(folder / "storage" / "models" / "tiny")
    arguments = ("ingest", folder / "docs", "--storage", folder / "storage", "--model", "tiny")
    done = run_app(*arguments, "--quiet")
    assert done.exit_code == 0, done.stderr
    return folder


def test_a_beir_folder_holds_corpus_queries_and_judgements(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "beir.v1"
    where = ("--storage", shop / "storage")
    done = run_app("export", "beir", shop / "q.jsonl", target, "--json", *where)
    assert done.exit_code == 0, done.stderr
    values = json.loads(done.stdout)
    assert (values["pairs"], values["passages"], values["unmatched"]) == (2, 2, 1)
    lines = [json.loads(line) for line in (target / "corpus.jsonl").read_text().splitlines()]
    corpus = {row["_id"]: row["text"] for row in lines}
    lines = [json.loads(line) for line in (target / "queries.jsonl").read_text().splitlines()]
    queries = {row["_id"]: row["text"] for row in lines}
    head, *judged = (target / "qrels" / "test.tsv").read_text().splitlines()
    assert head == "query-id\tcorpus-id\tscore"
    answers = {queries[row.split("\t")[0]]: corpus[row.split("\t")[1]] for row in judged}
    assert answers == {
        "how long does it glow": "The lamp glows for nine hours.",
        "when does it open": "The door opens at noon.",
    }
    # And we read it, with the same figures.
    before = run_app("evaluate", shop / "q.jsonl", "--json", "--quiet", *where)
    after = run_app("evaluate", target, "--json", "--quiet", *where)
    first, second = (json.loads(one.stdout)["runs"][0] for one in (before, after))
    assert first["n"] == second["n"] == 2
    assert first["mrr@10"] == second["mrr@10"]


# Models


@pytest.mark.usefixtures("float32")
def test_a_copied_model_embeds_as_it_was_judged(shop: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    storage = shutil.copytree(shop / "storage", tmp_path / "storage")
    tuned, target = storage / "models" / "tuned", tmp_path / "for others" / "mine"
    change = np.zeros((32, 32), np.float32)
    change[0, 1] = 0.5
    add_query_map(storage / "models" / "tiny", tuned, QueryMap(change), prompts={})
    card = ["# tuned", *sentence_transformers_code(tuned), "Verdict: promote: mrr@10 rose."]
    (tuned / "README.md").write_text("\n".join(card), "utf-8")
    options = ("--model", "tuned", "--storage", storage, "--json")
    done = run_app("export", "sentence-transformers", target, *options)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["verdict_in_card"] is True
    text = (target / "README.md").read_text("utf-8")
    assert f'SentenceTransformer("{target.as_posix()}")' in text
    assert "Verdict: promote: mrr@10 rose." in text
    ours, theirs = load_model("tuned", storage=storage), SentenceTransformer(str(target))
    asked = ["where is the lamp"]
    assert np.allclose(
        ours.embed_queries(asked), theirs.encode_query(asked, normalize_embeddings=True), atol=1e-6
    )
    # The map is on questions alone.
    passages = theirs.encode_document(asked, normalize_embeddings=True)
    assert np.allclose(ours.embed_passages(asked), passages, atol=1e-6)
    assert not np.allclose(ours.embed_queries(asked), passages, atol=1e-3)
    # Again, over the earlier copy.
    assert run_app("export", "sentence-transformers", target, *options).exit_code == 0


def test_a_card_is_kept_but_for_its_front_matter_and_its_code(tmp_path: Path) -> None:
    use = "\n".join(["", "## Use", "", *sentence_transformers_code(tmp_path)])
    for head in ("---\ntags: [a]\n---\n", "---\n---\n", ""):
        said = f"{head}# tuned\n\n---\n\nVerdict: promote.\n{use}\n"
        (tmp_path / "README.md").write_text(said, "utf-8")
        assert said_by_card(tmp_path) == "# tuned\n\n---\n\nVerdict: promote."
    # Of others nothing is known of what a section holds.
    (tmp_path / "README.md").write_text("# another's\n\n## Use\n\nas it stands\n", "utf-8")
    assert said_by_card(tmp_path) == "# another's\n\n## Use\n\nas it stands"


def test_a_copy_takes_nothing_elses_place(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    where = ("--storage", shop / "storage")
    done = run_app("export", "sentence-transformers", tmp_path / "mine", *where)
    assert (done.exit_code, "holds something else than a model" in done.stderr) == (2, True)
    own = shop / "storage" / "models" / "tiny"
    done = run_app("export", "sentence-transformers", own, *where)
    assert (done.exit_code, "is the model's own folder" in done.stderr) == (2, True)
    done = run_app("export", "sentence-transformers", tmp_path / "new", *where)
    assert done.exit_code == 0
    assert "its card holds no verdict" in done.stderr
