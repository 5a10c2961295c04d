"""Values that the public functions do not take: one ConfigError that says what they do."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import Document, TextNode

from rag_app import evaluate, finetune, ingest, language_model, open_index, sweep, write_questions
from rag_app.api import LanguageModelFields, Place
from rag_app.errors import ConfigError, PairsError
from rag_app.finetune.options import RANGES, NegativeOptions, TrainingOptions
from rag_app.finetune.request import FinetuneRequest
from rag_app.index import Workspace
from rag_app.llm.choose import LanguageModelOptions
from rag_app.models.device import choose_device
from rag_app.pairs import SplitOptions

DOCUMENT = Document(text="Call us.")
PAIRS = [(f"how much is item {n}", f"Item {n} costs {n + 90} euro.") for n in range(24)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"train_on": "labeled"}, "'labeled'; it takes one of: labelled, synthetic, both"),
        ({"pairs": None, "train_on": "both"}, "'both', but there are no labelled pairs"),
        ({"preset": "fast"}, "--preset is 'fast'; it takes one of: quick"),
        ({"held_out": "document"}, "'document'; it takes one of: auto, documents, questions, both"),
        ({"test_share": 0}, "--test-share is 0; the verdict needs held-out questions"),
        ({"test_share": float("nan")}, "--test-share is nan"),
        ({"dev_share": -0.1}, "--dev-share is -0.1"),
        ({"folds": 1}, "--folds is 1"),
        ({"repeats": 2}, "name their number with --folds"),
        (
            {"retriever": "hybird:0.7"},
            "unknown retriever 'hybird' in 'hybird:0.7', did you mean hybrid?",
        ),
        ({"seed": -1}, "--seed is -1; it takes a whole number from 0"),
        ({"training": {"seed": 1}}, "seed is an argument of its own; take it out of training="),
        ({"training": {"method": "lora"}}, "method is an argument of its own"),
        ({"training": {"epoch": 1}}, "'epoch'; it takes one of: epochs, batch_size, "),
        ({"training": {"epochs": 0}}, "--epochs is 0; it takes a whole number of 1 or more"),
        ({"training": {"epochs": 1.5}}, "--epochs is 1.5; it takes a whole number"),
        ({"training": {"batch_size": "auto"}}, "--batch-size is 'auto'; it takes a whole number"),
        ({"training": {"learning_rate": 5}}, "--learning-rate is 5; it takes more than 0 and"),
        (
            {"training": {"learning_rate": 0}},
            "--learning-rate is 0; it takes more than 0 and up to 1",
        ),
        ({"training": {"blend": float("nan")}}, "--blend is nan; it takes a number from 0 to 1"),
        ({"training": {"negatives": "hard"}}, "--negatives is 'hard'; it takes NegativeOptions"),
        ({"device": "gpu"}, "--device is 'gpu'; it takes one of: auto, cpu, cuda, mps"),
    ],
    ids=str,
)
def test_finetune(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        finetune(**{"pairs": PAIRS, "storage": tmp_path / "storage", **given})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"chunk_sizes": 256}, "chunk_sizes is 256; it takes a list of numbers"),
        ({"chunk_sizes": "128,256"}, "chunk_sizes is '128,256'; it takes a list of numbers"),
        ({"models": "tiny"}, "models is 'tiny'; it takes a list of texts"),
        ({"retrievers": "vector"}, "retrievers is 'vector'; it takes a list of texts"),
        ({"retrievers": ("vektor",)}, "unknown retriever 'vektor'"),
        ({"test_share": 0}, "--test-share is 0; it takes a number between 0 and 1"),
    ],
    ids=str,
)
def test_sweep(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    ingest([DOCUMENT], storage=tmp_path, embedder=WordModel())
    with pytest.raises(ConfigError) as error:
        sweep(PAIRS, storage=tmp_path, embedder=WordModel(), **given)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda there: write_questions(**there, per_chunk=0), "--per-chunk is 0"),
        (lambda there: write_questions(**there, limit=-1), "--limit is -1; it takes 1 or more"),
        (lambda there: open_index(**there).as_retriever(top_k=0), "top_k is 0"),
        (lambda there: open_index(**there).as_retriever(fetch_k=-1), "fetch_k is -1"),
        (lambda there: ingest([], **there, model="tiny"), "but the embedder is 'words'"),
        (lambda there: ingest(["a.md", DOCUMENT], **there), "1 paths among 1 Documents; ingest"),
        (
            lambda there: ingest([DOCUMENT], **there, chunk_size="256"),  # type: ignore[arg-type]
            "chunk_size is '256'; it takes",
        ),
        (lambda there: ingest([DOCUMENT], **there, chunk_overlap=-1), "chunk_overlap is -1; it"),
        (lambda there: ingest([TextNode(text="x")], **there), "TextNode "),
        (lambda there: ingest(None, **there), "NoneType None is neither a path nor a LlamaIndex"),
        (lambda there: ingest([DOCUMENT], **there, ocr="kor"), "ocr is 'kor', but documents that"),
        (
            lambda there: open_index(**there, chroma_ulr="x"),  # type: ignore[call-arg]
            "an argument is 'chroma_ulr'; it takes",
        ),
        (lambda _: language_model(knid="none"), "an argument is 'knid'; it takes one of: kind, "),  # type: ignore[call-arg]
        (lambda _: language_model(kind="lokal"), "'lokal'; it takes one of: auto, none, local"),  # type: ignore[arg-type]
        (lambda _: language_model(concurrency=0), "llm_concurrency is 0"),
        (lambda _: evaluate("vector", PAIRS), "'vector' is no retriever"),
        (lambda _: NegativeOptions("hard"), "'hard'; it takes one of: none, random, mined"),  # type: ignore[arg-type]
        (lambda _: NegativeOptions("mined", 0), "--negatives-per-pair is 0"),
        (lambda _: choose_device("gpu"), "--device is 'gpu'"),
    ],
)
def test_other_functions(tmp_path: Path, call: Callable[[dict[str, Any]], Any], says: str) -> None:
    there: dict[str, Any] = {"storage": tmp_path, "embedder": WordModel()}
    ingest([DOCUMENT], **there)
    with pytest.raises(ConfigError) as error:
        call(there)
    assert says in str(error.value)


def test_what_holds_no_questions(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="5 holds no questions; hand over"):
        finetune(5, storage=tmp_path)  # type: ignore[arg-type]


def test_every_number_of_a_training_has_its_range() -> None:
    numbers = {
        field.name for field in fields(TrainingOptions) if field.name not in TEXTS | {"negatives"}
    }
    assert numbers == set(RANGES)


TEXTS = {"loss", "method", "batch_can_fall"}


def test_what_trains_without_being_told() -> None:
    assert FinetuneRequest().trained_on == "synthetic"
    assert FinetuneRequest(Path("faq.csv")).trained_on == "labelled"
    assert SplitOptions(test_share=0).test_share == 0


def test_the_fields_that_a_language_model_takes_are_those_of_its_options() -> None:
    assert list(LanguageModelFields.__annotations__) == [
        field.name for field in fields(LanguageModelOptions)
    ]
    assert Place.__annotations__.keys() < {field.name for field in fields(Workspace)}


def test_one_document_is_a_list_of_one(tmp_path: Path) -> None:
    assert ingest(DOCUMENT, storage=tmp_path, embedder=WordModel()).chunks == 1
