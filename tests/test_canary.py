"""Out-of-domain questions: where they come from, what they show, and when they hold a model."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import DIMENSION, WordModel

from rag_app.chunks import Chunking, passage_text
from rag_app.errors import PairsError
from rag_app.evaluate.canary import (
    Canary,
    CanaryOptions,
    changes_on,
    find_canary,
    read_canary,
    why_no_canary,
)
from rag_app.evaluate.statistics import Difference
from rag_app.evaluate.verdict import Decision, Verdict, certainly_fell, guard
from rag_app.index import VectorCache
from rag_app.vectors import Vectors

pytestmark = pytest.mark.usefixtures("whole_canary")

CHUNKING = Chunking(chunk_size=64, chunk_overlap=0)
FACTS = {
    "tides": "The moon pulls the sea twice a day.",
    "bees": "A bee dances to show flowers.",
    "glass": "Sand melts into glass at great heat.",
    "owls": "Owls hunt mice by ear alone.",
}
ASKED = {
    "tides": "moon pulls the sea",
    "bees": "bee dances flowers",
    "glass": "sand melts glass",
    "owls": "owls hunt mice",
}


def write_folder(folder: Path, *, asked: dict[str, str] = ASKED) -> Path:
    """Documents with a questions.jsonl."""
    folder.mkdir()
    for name, text in FACTS.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    lines = [json.dumps({"question": q, "document": f"{name}.txt"}) for name, q in asked.items()]
    (folder / "questions.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def read(path: Path) -> Canary:
    return read_canary(path, WordModel(), CHUNKING)


def answers(canary: Canary) -> dict[str, str]:
    """The passage that answers each question."""
    texts = {node.node_id: passage_text(node) for node in canary.nodes}
    found = {}
    for question in canary.questions:
        [[chunk]] = question.gold
        found[question.text] = texts[chunk]
    return found


def test_a_folder_with_questions(tmp_path: Path) -> None:
    canary = read(write_folder(tmp_path / "facts"))
    assert canary.name == "facts"
    # A file's name is the title of its text.
    assert answers(canary) == {ASKED[name]: f"{name}\n{text}" for name, text in FACTS.items()}
    # The questions are no passages.
    assert sorted(node.text for node in canary.nodes) == sorted(FACTS.values())


def test_a_table_of_questions_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    rows = [f'"{ASKED[name]}","{text}"' for name, text in FACTS.items()]
    path.write_text("\n".join(["question,answer", *rows]), "utf-8")
    canary = read(path)
    assert canary.name == "faq.csv"
    found = answers(canary)
    assert found.keys() == set(ASKED.values())
    for name, text in FACTS.items():
        assert text in found[ASKED[name]]


def test_a_beir_folder(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": name, "text": text}) for name, text in FACTS.items()), "utf-8"
    )
    (tmp_path / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q-{name}", "text": q}) for name, q in ASKED.items()), "utf-8"
    )
    (tmp_path / "qrels").mkdir()
    judged = [f"q-{name}\t{name}\t1" for name in FACTS]
    (tmp_path / "qrels" / "test.tsv").write_text(
        "\n".join(["query-id\tcorpus-id\tscore", *judged]), "utf-8"
    )
    assert answers(read(tmp_path)) == {ASKED[name]: FACTS[name] for name in FACTS}


def test_questions_about_other_documents_are_no_canary(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "facts", asked={"lost": "where is it", "gone": "and that"})
    with pytest.raises(PairsError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder} is no canary: no question there has its answer there.")
    assert "--canary takes" in message


def test_questions_without_their_documents_are_no_canary(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "facts")
    with pytest.raises(PairsError) as caught:
        read(folder / "questions.jsonl")
    message = str(caught.value)
    assert message.startswith(f"{folder / 'questions.jsonl'} is no canary: no passage stands there")
    assert "a folder of documents with a questions.jsonl beside them" in message


def test_documents_without_questions_are_no_canary(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "facts")
    (folder / "questions.jsonl").unlink()
    with pytest.raises(PairsError):
        read(folder)


@pytest.mark.parametrize(
    ("given", "expected", "shown"),
    [
        (None, CanaryOptions(), "the sample data"),
        ("none", CanaryOptions(use="none"), "the sample data"),
        ("report", CanaryOptions(use="report"), "the sample data"),
        ("other.csv", CanaryOptions(Path("other.csv")), "other.csv"),
        # A file of that name is one with its folder.
        ("./none", CanaryOptions(Path("none")), "none"),
        (Path("report"), CanaryOptions(Path("report")), "report"),
    ],
)
def test_what_can_be_asked_for(
    given: str | Path | None, expected: CanaryOptions, shown: str
) -> None:
    assert CanaryOptions.of(given) == expected
    assert str(expected) == shown


# The sample data


class Polyglot(WordModel):
    """Reads some scripts: those of the texts in which it finds none of these letters."""

    def __init__(self, *, unknown: str) -> None:
        super().__init__()
        self.unknown = unknown

    def knows_script_of(self, texts: Sequence[str]) -> bool:
        return not any(letter in text for text in texts for letter in self.unknown)


READS_ALL = Polyglot(unknown="")
READS_NO_KOREAN = Polyglot(unknown="다")
READS_NO_ENGLISH = Polyglot(unknown="e")
SAMPLE = Chunking(chunk_size=256, chunk_overlap=0)


def sample(model: Polyglot, own: Canary | None = None) -> Canary | None:
    return find_canary(model, SAMPLE, own.nodes if own else [])


@pytest.fixture(scope="module")
def english(whole_canary: None) -> Canary:
    found = sample(READS_ALL)
    assert found is not None
    return found


def test_the_sample_data_is_a_canary(english: Canary) -> None:
    assert english.name == "en"
    # As data/README.md counts them.
    assert len(english.questions) == 324
    documents = {node.ref_doc_id for node in english.nodes}
    assert len(documents) == 159 + 60


def test_who_tunes_on_the_sample_gets_the_other_language(english: Canary) -> None:
    found = sample(READS_ALL, english)
    assert found is not None
    assert (found.name, len(found.questions)) == ("ko", 324)
    assert sample(READS_NO_KOREAN, english) is None


def test_why_there_is_none_is_told(english: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(model: Polyglot, own: Canary | None) -> str:
        return why_no_canary(model, SAMPLE, own.nodes if own else [])

    assert why(READS_NO_KOREAN, english) == "it is the data you trained on"
    reads_nothing = Polyglot(unknown="e다")
    assert why(reads_nothing, None) == "the model does not read the script of the sample data"
    monkeypatch.setattr("rag_app.evaluate.canary._SAMPLES", ())
    assert why(READS_ALL, None) == "the sample data is not there"


def test_a_few_passages_in_common_do_no_harm(english: Canary) -> None:
    tenth = len(english.nodes) // 10
    few = Canary("own", english.nodes[:tenth], [])
    more = Canary("own", english.nodes[: tenth + 5], [])
    names = [found.name for found in map(sample, [READS_ALL] * 2, [few, more]) if found]
    assert names == ["en", "ko"]


def test_a_model_that_cannot_read_it_gets_none() -> None:
    assert sample(Polyglot(unknown="e다")) is None


# Before and after


class Forgetful(WordModel):
    """Puts all texts in one place, so that passages keep their order whatever is asked."""

    def _vector(self, text: str) -> Vectors:
        vector = np.zeros(DIMENSION, dtype=np.float32)
        vector[0] = 1.0
        return vector


def watch(folder: Path, base: WordModel, tuned: WordModel) -> dict[str, Difference]:
    canary = read(write_folder(folder / "facts"))
    assert len(canary.questions) == 4
    changes_of = changes_on(canary, base, cache=VectorCache(folder), seed=13)
    return changes_of(tuned)


def test_a_model_that_forgot_falls(tmp_path: Path) -> None:
    change = watch(tmp_path, WordModel(), Forgetful("forgetful"))["mrr@10"]
    # From rank 1 each to ranks 1, 2, 3 and 4.
    assert change.mean == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4 - 1)


def test_each_model_is_judged_on_its_own_vectors(tmp_path: Path) -> None:
    # Another seed is another place for every word, as good as the first; mixed they find nothing.
    change = watch(tmp_path, WordModel(seed=0), WordModel(seed=1))["mrr@10"]
    assert (change.mean, change.low, change.high) == (0, 0, 0)


def test_harm_is_a_certain_fall(english: Canary, tmp_path: Path) -> None:
    def harms(model: WordModel) -> bool:
        changes_of = changes_on(english, WordModel(), cache=VectorCache(tmp_path), seed=13)
        return certainly_fell(changes_of(model))

    assert harms(Forgetful("forgetful"))
    assert not harms(WordModel("other", seed=1))


def fell(low: float, high: float) -> dict[str, Difference]:
    return {"mrr@10": Difference((low + high) / 2, low, high, 0.0002, 0.03)}


PROMOTED = Verdict("promote", "mrr@10 rose from .561 to .637")


def test_what_fell_elsewhere_is_held() -> None:
    verdict = guard(PROMOTED, fell(-0.09, -0.01))
    assert str(verdict) == (
        "hold: mrr@10 rose from .561 to .637; but on out-of-domain questions (canary) it fell "
        "by .050 (-.050 [-.090, -.010], p = .0002): try a smaller --whitening or --learning-rate, "
        "or --canary report if only your own documents will be asked"
    )


def test_what_fell_in_its_mildest_form_says_that_all_were_tried() -> None:
    verdict = guard(PROMOTED, fell(-0.09, -0.01), milder=["no query adapter", "blend 0.35"])
    assert str(verdict) == (
        "hold: mrr@10 rose from .561 to .637; but on out-of-domain questions (canary) it fell "
        "by .050 (-.050 [-.090, -.010], p = .0002), and all that is milder fell as well "
        "(no query adapter, blend 0.35): try a smaller --learning-rate or fewer --epochs, or "
        "--canary report if only your own documents will be asked"
    )


@pytest.mark.parametrize(("low", "high"), [(-0.09, 0.0), (-0.09, 0.01), (0.01, 0.09), (0.0, 0.0)])
def test_what_may_not_have_fallen_goes_into_service(low: float, high: float) -> None:
    assert guard(PROMOTED, fell(low, high)) == PROMOTED


@pytest.mark.parametrize("decision", ["hold", "reject"])
def test_what_did_not_rise_at_home_keeps_its_verdict(decision: Decision) -> None:
    verdict = Verdict(decision, "mrr@10 fell")
    assert guard(verdict, fell(-0.09, -0.01)) == verdict


def test_a_difference_in_another_metric_holds_nothing() -> None:
    others = {"ndcg@10": fell(-0.09, -0.01)["mrr@10"], "mrr@10": fell(-0.01, 0.01)["mrr@10"]}
    assert guard(PROMOTED, others) == PROMOTED
