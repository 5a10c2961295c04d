"""Bases untuned and tuned on the same held-out questions, and what is said of them."""

import pytest
from test_cli import check_error
from test_sweep import candidate
from test_sweep_cli import Shop, ingested, quick, shop

from rag_app.index import Workspace
from rag_app.sweep.bases import Base, Bases
from rag_app.sweep.scoring import Candidate

__all__ = ["ingested", "quick", "shop"]

TUNE = ("--chunk-sizes", "32", "--chunk-overlaps", "0", "--retriever", "vector", "--quiet")


def scored(hits: int) -> Candidate:
    """A candidate that answers so many of twenty questions first, and the others not at all."""
    one = candidate("vector", dev=0, test=hits)
    for outcome in one.test or []:
        outcome.values["mrr@10"] = outcome.values["hit_rate@1"]
    return one


def base(untuned: int, tuned: int, *, dev: tuple[float, float], seconds: float = 2.0) -> Base:
    return Base(scored(untuned), scored(tuned), dev, seconds)


def test_the_first_is_chosen_on_dev_and_compared_on_test() -> None:
    small = base(5, 15, dev=(0.3, 0.6))
    large = base(15, 14, dev=(0.5, 0.5), seconds=8.0)
    found = Bases([small, large], seed=13)
    assert found.first == (small, "tuned")
    head, own, untuned, tuned = found.reasons
    assert head == "tuned model is first on the questions that chose; on the 20 others:"
    # Of twenty questions 15 are answered instead of 5: half of them.
    assert own.startswith("mrr@10 +.500 [")
    assert own.endswith("] over untuned model")
    price = "which takes 4.0 times as long to embed"
    assert (
        untuned
        == f"mrr@10 +.000 [+.000, +.000], which could be chance, over untuned model, {price}"
    )
    assert tuned.endswith(f"which could be chance, over tuned model, {price}")


def test_what_few_documents_gain_may_be_chance() -> None:
    """Of twenty only five rise: the interval is above 0, and p is 2 / 2 ** 5 or nearly so."""
    own = Bases([base(0, 5, dev=(0.1, 0.2))], seed=13).reasons[1]
    assert own.startswith("mrr@10 +.250 [+.100, ")
    assert own.endswith("], which could be chance, over untuned model")


def test_a_faster_base_is_said_to_be_faster() -> None:
    found = Bases([base(5, 15, dev=(0.3, 0.6)), base(5, 5, dev=(0.1, 0.1), seconds=0.5)], seed=13)
    assert found.reasons[-1].endswith("over tuned model, which embeds 4.0 times as fast")


def test_of_equal_ones_the_faster_is_first() -> None:
    slow, fast = base(5, 5, dev=(0.5, 0.5), seconds=9.0), base(5, 5, dev=(0.5, 0.4), seconds=1.0)
    assert Bases([slow, fast], seed=13).first == (fast, "untuned")


@pytest.mark.slow
def test_models_are_tuned_and_nothing_goes_into_service(shop: Shop) -> None:
    before = Workspace(shop.storage).catalog.in_service()
    values = shop.sweep_json("--models", "tiny,tiny-static", "--tune", *TUNE)
    runs = values["bases"]["runs"]
    assert [run["model"] for run in runs] == ["tiny", "tiny-static"]
    for run in runs:
        for kind in ("untuned", "tuned"):
            assert set(run[kind]) == {"mrr@10", "hit_rate@1"}
        assert run["embed_seconds_per_1000"] > 0
        assert run["milliseconds"] > 0
    workspace = Workspace(shop.storage, device="cpu")
    pairs = [
        [workspace.load_model(run[kind]).passage_fingerprint for kind in ("model", "tuned_model")]
        for run in runs
    ]
    # A static model has no layers: the query adapter is what is trained.
    assert [before == after for before, after in pairs] == [False, True]
    info = workspace.catalog.open(runs[0]["tuned_index"]).info
    assert (info.base_model, info.model) == ("tiny", runs[0]["tuned_model"])
    assert values["promoted"] is False
    assert Workspace(shop.storage).catalog.in_service() == before
    assert not shop.toml.exists()
    # The untuned ones are judged on what the sweep holds out.
    assert values["runs"][0]["n"] == values["split"]["test"]
    told = shop.sweep("--models", "tiny", "--models", "tiny-static", "--tune", *TUNE).stdout
    for words in ("s to embed 1,000 passages", "is first on the questions that chose", "untuned"):
        assert words in told


def test_too_few_questions_to_train_on(shop: Shop) -> None:
    check_error(
        *shop.arguments("--models", "tiny", "--tune", "--test-share", "0.8", *TUNE),
        kind="PairsError",
        says="pairs are too few to train on some and test on others",
    )


def test_a_model_that_is_tuned_already_is_not_tuned_again(shop: Shop) -> None:
    values = shop.sweep_json("--models", "tiny", "--tune", *TUNE)
    tuned = values["bases"]["runs"][0]["tuned_index"]
    check_error(
        *shop.arguments("--index", tuned, "--tune", *TUNE),
        kind="ModelError",
        says="is tuned already; name the index of its base (tiny) with --index",
    )
