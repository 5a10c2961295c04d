"""Models that a name makes of another: cut to their first dimensions, or distilled."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss
from test_cli import check_error, run_json
from test_finetune import OPTIONS, ROWS, WORDS, make_engine, row_of
from tiny import WIDTH, make_tiny_model, one_thread

from rag_app.chunks import Chunking
from rag_app.errors import ModelError
from rag_app.finetune.query_map.training import train_adapter
from rag_app.finetune.train.losses import LOSSES, at_cut
from rag_app.index import IndexInfo, VectorCache, Workspace, index_name
from rag_app.models import EmbeddingModel
from rag_app.models.derived import cut_name, split_derived

TEXTS = ["where you find a parcel", "how do i get it", "there it is"]
PROMPTS = {"query": "ask: ", "document": "text: "}


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("storage"), device="cpu")
    make_tiny_model(made.models / "acme__tiny", words=WORDS, prompts=PROMPTS)
    return made


@pytest.fixture(scope="module")
def cut(workspace: Workspace) -> EmbeddingModel:
    return workspace.load_model("acme/tiny-16d")


def plain(model: EmbeddingModel) -> SentenceTransformer:
    return SentenceTransformer(str(model.folder), device="cpu")


# Cut


@pytest.mark.usefixtures("float32")
def test_a_cut_vector_is_the_first_numbers_at_unit_length(
    workspace: Workspace, cut: EmbeddingModel
) -> None:
    whole = workspace.load_model("acme/tiny").embed_passages(TEXTS)[:, :16]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(cut.embed_passages(TEXTS), expected, atol=1e-6)
    assert (cut.name, cut.dimension, cut.full_dimension) == ("acme/tiny-16d", 16, WIDTH)


@pytest.mark.usefixtures("float32")
def test_plain_sentence_transformers_gives_the_same_vectors(cut: EmbeddingModel) -> None:
    theirs = plain(cut)
    queries = theirs.encode_query(TEXTS, normalize_embeddings=True)
    passages = theirs.encode_document(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(queries, cut.embed_queries(TEXTS), atol=1e-6)
    np.testing.assert_allclose(passages, cut.embed_passages(TEXTS), atol=1e-6)


def test_fingerprint_info_and_name_know_of_the_cut(
    workspace: Workspace, cut: EmbeddingModel
) -> None:
    whole, other = workspace.load_model("acme/tiny"), workspace.load_model("acme/tiny-8d")
    assert len({model.fingerprint for model in (whole, cut, other)}) == 3
    info = IndexInfo.of(cut, Chunking())
    assert (info.dimension, info.model) == (16, "acme/tiny-16d")
    assert index_name(info).startswith("tiny-16d-256-")
    tuned = replace(info, model="tiny-mnrl-0", fingerprint="0")
    assert index_name(tuned).startswith("tiny-16d-tuned-256-")
    # All dimensions are no cut.
    assert workspace.load_model(f"acme/tiny-{WIDTH}d").fingerprint == whole.fingerprint


def test_an_index_name_keeps_the_cut_of_a_long_name() -> None:
    info = IndexInfo("sentence-transformers/all-MiniLM-L6-v2-256d", "", "f", 256, 256, 32, "rules")
    name = index_name(replace(info, base_model=info.model))
    assert name.startswith("all-minilm-l6-256d-256-")
    assert len(name) <= 30


def test_a_cut_of_a_cut_is_one_cut() -> None:
    assert cut_name("acme/tiny-16d", 8) == "acme/tiny-8d"
    assert split_derived("all-mini-mnrl-12345678") is None
    assert split_derived("acme/tiny-static-8d") == ("acme/tiny-static", "-8d")


@pytest.mark.parametrize("dimensions", ["0", "-3"])
def test_no_dimensions_are_refused(tmp_path: Path, dimensions: str) -> None:
    (tmp_path / "a.txt").write_text("parcels go by freight", "utf-8")
    check_error(
        *("ingest", tmp_path / "a.txt", "--storage", tmp_path / "storage"),
        *("--dimensions", dimensions),
        kind="ModelError",
        says=f"vectors cannot be cut to {dimensions} dimensions; name a number from 1 on",
    )


def test_more_dimensions_than_there_are_are_refused(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match=r"vectors of 32 numbers, which cannot be cut to 33; name"):
        workspace.load_model("acme/tiny-33d")
    assert not (workspace.models / "acme__tiny-33d").exists()


def test_a_folder_that_changed_is_cut_anew(tmp_path: Path) -> None:
    workspace, folder = Workspace(tmp_path / "storage", device="cpu"), tmp_path / "own"
    make_tiny_model(folder)
    first = workspace.load_model(f"{folder}-16d").fingerprint
    make_tiny_model(folder, seed=1)
    assert workspace.load_model(f"{folder}-16d").fingerprint != first


def test_the_command_line_cuts_and_goes_on_with_the_cut(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    make_tiny_model(storage / "models" / "tiny")
    (tmp_path / "a.txt").write_text("parcels go by freight", "utf-8")
    given = ("ingest", tmp_path / "a.txt", "--storage", storage, "--chunk-size", "32")
    first = run_json(*given, "--chunk-overlap", "0", "--model", "tiny", "--dimensions", "8")
    again = run_json(*given[:4])
    assert first["model"] == again["model"] == "tiny-8d"
    assert (first["index"], again["unchanged"]) == (again["index"], 1)
    assert Workspace(storage).catalog.open(first["index"]).info.dimension == 8


# Tuned


def test_a_cut_model_trains_at_both_sizes(cut: EmbeddingModel, workspace: Workspace) -> None:
    loss = LOSSES["mnrl"].build(cut.transformer, OPTIONS, ROWS)
    both = at_cut(cut.transformer, loss)
    assert isinstance(both, MatryoshkaLoss)
    assert both.matryoshka_dims == (WIDTH, 16)
    assert cut.transformer.truncate_dim == 16
    whole = workspace.load_model("acme/tiny").transformer
    assert not isinstance(at_cut(whole, loss), MatryoshkaLoss)


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
def test_a_tuned_cut_model_and_its_map_load_as_they_were(
    cut: EmbeddingModel, tmp_path: Path
) -> None:
    engine = make_engine(cut, tmp_path / "tiny-16d-mnrl-0")
    engine.finetune()
    report, weights = engine.finished_report(), engine.load()
    assert max(report.dev_mrr) > report.dev_mrr[0]
    assert (weights.dimension, weights.full_dimension) == (16, WIDTH)
    target = tmp_path / "tiny-16d-adapter-0"
    train_adapter(
        weights,
        ROWS,
        corpus=[row.passage for row in ROWS],
        # It would refuse this map.
        dev=None,
        target=target,
        options=replace(OPTIONS, method="adapter", learning_rate=1e-3),
        cache=VectorCache(tmp_path / "storage"),
    )
    tuned = EmbeddingModel("tuned", target, device="cpu")
    questions = [row_of("a parcel").question, *TEXTS]
    moved = tuned.embed_queries(questions)
    assert moved.shape == (4, 16)
    assert np.abs(moved - weights.embed_queries(questions)).max() > 1e-3
    theirs = plain(tuned)
    queries = theirs.encode_query(questions, normalize_embeddings=True)
    passages = theirs.encode_document(questions, normalize_embeddings=True)
    np.testing.assert_allclose(queries, moved, atol=1e-5)
    np.testing.assert_allclose(passages, weights.embed_passages(questions), atol=1e-5)


# Distilled


def test_a_static_model_is_the_mean_of_its_tokens(workspace: Workspace) -> None:
    static = workspace.load_model("acme/tiny-static")
    table = static.transformer[0].embedding.weight.detach().numpy()
    ids = static.tokenizer.encode("find parcel", add_special_tokens=False).ids
    expected = table[ids].mean(axis=0)
    found = static.encode_plain(["find parcel"])[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    assert static.dimension == WIDTH
    # Nothing is asked of marks, and what carries most comes first.
    assert not table[static.tokenizer.token_to_id("[UNK]")].any()
    spread = table.var(axis=0)
    assert spread[0] > spread[-1]


def test_a_static_model_has_no_prompts_and_can_be_cut(workspace: Workspace) -> None:
    static = workspace.load_model("acme/tiny-static")
    assert static.prompts.by_task() == {"query": "", "document": ""}
    cut = workspace.load_model("acme/tiny-static-8d")
    assert (cut.dimension, cut.full_dimension) == (8, WIDTH)
    np.testing.assert_allclose(
        plain(cut).encode_document(TEXTS, normalize_embeddings=True),
        cut.embed_passages(TEXTS),
        atol=1e-2,
    )


def test_nothing_is_distilled_from_a_static_model(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="acme/tiny-static has no transformer to distill"):
        workspace.load_model("acme/tiny-static-static")


def test_a_base_that_is_nowhere_is_named(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="'acme/nothing' was not found"):
        workspace.load_model("acme/nothing-16d")
