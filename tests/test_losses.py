"""Each loss reads the columns it says and trains the tiny model; damage to texts is repeatable."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss
from test_finetune import (
    OPTIONS,
    ROWS,
    SUBJECTS,
    Recorder,
    assert_same_weights,
    make_base,
    make_engine,
    row_of,
    weights,
)
from test_packed import load, make_family
from transformers import TrainerControl, TrainerState

from rag_app.errors import TrainingError
from rag_app.finetune.options import TrainingOptions, TrainingRow
from rag_app.finetune.train.losses import (
    LOSSES,
    TRIPLET_MARGIN,
    Damage,
    find_loss,
    training_dataset,
)
from rag_app.finetune.train.packed import pack_texts
from rag_app.finetune.train.run import switch_off_dropout
from rag_app.models import EmbeddingModel

PLAIN = [TrainingRow("q1", "p1", "a"), TrainingRow("q2", "p2", "b")]
HARD = [
    TrainingRow("q1", "p1", "a", ("n1", "n2")),
    TrainingRow("q2", "p2", "b", ("n3", "n4", "n5")),
]
# 48 passages in batches of 8, as OPTIONS say, are 6 steps an epoch.
STEPS = 6
PASSAGES = [TrainingRow("", row.passage, row.passage) for row in ROWS]
TRIPLES = [
    replace(row, negatives=(row_of(SUBJECTS[(number + 7) % 48]).passage,))
    for number, row in enumerate(ROWS)
]
DAE = replace(OPTIONS, loss="dae", epochs=2, learning_rate=2e-3)


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


def test_columns_of_mnrl_without_negatives() -> None:
    assert find_loss("mnrl").columns(PLAIN) == {"anchor": ["q1", "q2"], "positive": ["p1", "p2"]}
    assert [find_loss("mnrl").repeats(row) for row in PLAIN] == [1, 1]


def test_columns_of_mnrl_take_the_negatives_that_all_rows_have() -> None:
    columns = find_loss("mnrl").columns(HARD)
    assert columns == {
        "anchor": ["q1", "q2"],
        "positive": ["p1", "p2"],
        "negative_1": ["n1", "n3"],
        "negative_2": ["n2", "n4"],
    }
    # The loss reads by position.
    assert list(columns) == ["anchor", "positive", "negative_1", "negative_2"]
    assert [find_loss("mnrl").repeats(row) for row in HARD] == [1, 1]


def test_triplet_makes_an_example_of_each_negative() -> None:
    columns = find_loss("triplet").columns(HARD)
    assert columns == {
        "anchor": ["q1", "q1", "q2", "q2", "q2"],
        "positive": ["p1", "p1", "p2", "p2", "p2"],
        "negative": ["n1", "n2", "n3", "n4", "n5"],
    }
    assert list(columns) == ["anchor", "positive", "negative"]
    assert [find_loss("triplet").repeats(row) for row in HARD] == [2, 3]
    assert find_loss("triplet").needs_negatives


def test_columns_of_dae_are_passages_twice() -> None:
    columns = find_loss("dae").columns(HARD)
    assert columns == {"noisy": ["p1", "p2"], "text": ["p1", "p2"]}
    assert list(columns) == ["noisy", "text"]
    assert find_loss("dae").trains_on == "passages"


@pytest.mark.parametrize(
    ("question", "passage", "positive"),
    [
        (
            "Cash is never paid back.",
            "Refunds\nCash is never\n  paid back. It takes five working days to your account.",
            "Refunds\n  It takes five working days to your account.",
        ),
        (
            "cash is never paid back.",
            "Cash is never paid back." * 9,
            "Cash is never paid back." * 9,
        ),
        ("it is paid (back)", "it is paid (back) one two three four five six seven", None),
        (
            "it is paid (back)",
            "it is paid (back) one two three four five six seven eight",
            "  one two three four five six seven eight",
        ),
        ("it is paid out", "it is paid outside one two three four five six seven eight", None),
        ("paid out", "It is paid out one two three four five six seven eight", None),
        ("", "one two three four five six seven eight", None),
    ],
)
def test_a_question_that_the_passage_holds_is_taken_out_of_it(
    question: str, passage: str, positive: str | None
) -> None:
    row = TrainingRow(question, passage, "a", ("other",))
    assert row.positive == (passage if positive is None else positive)
    assert row.passage == passage
    for loss in ("mnrl", "triplet"):
        assert find_loss(loss).columns([row])["positive"] == [row.positive]
    assert find_loss("dae").columns([row])["text"] == [passage]


def test_an_unknown_loss_lists_the_known() -> None:
    with pytest.raises(TrainingError) as caught:
        find_loss("magic")
    assert str(caught.value) == (
        "there is no loss 'magic'; --loss takes one of: mnrl, triplet, dae, "
        "or several in turn, such as dae,mnrl"
    )


LONG = " ".join(f"w{i}" for i in range(1000))
TEXTS = [LONG, "one two three four five six seven eight", "single"]


def damaged(damage: Damage, texts: Sequence[str] = TEXTS) -> list[str]:
    return damage({"noisy": list(texts), "text": list(texts)})["noisy"]


def begin_epoch(damage: Damage, epoch: float) -> Damage:
    damage.on_epoch_begin(None, TrainerState(epoch=epoch), TrainerControl())
    return damage


def test_damage_keeps_two_fifths_of_the_words_in_order() -> None:
    kept = damaged(Damage(13))[0].split()
    assert 350 < len(kept) < 450
    assert kept == sorted(kept, key=lambda word: int(word[1:]))
    assert set(kept) < set(LONG.split())


def test_damage_leaves_the_other_column_alone() -> None:
    assert Damage(13)({"noisy": TEXTS, "text": TEXTS})["text"] == TEXTS


def test_damage_is_the_same_in_two_runs_and_in_any_batch() -> None:
    assert damaged(Damage(13)) == damaged(Damage(13))
    assert damaged(Damage(13)) == damaged(Damage(13), TEXTS[::-1])[::-1]


def test_damage_differs_from_epoch_to_epoch_and_seed_to_seed() -> None:
    first, second = damaged(Damage(13)), damaged(begin_epoch(Damage(13), 1.0))
    assert first[0] != second[0] != damaged(Damage(14))[0] != first[0]
    assert second == damaged(begin_epoch(Damage(13), 1.0))
    # The trainer counts in fractions.
    assert second == damaged(begin_epoch(Damage(13), 0.9999999))


def test_damage_never_empties_a_text() -> None:
    # One word of three is left out with .6 each: all of them in a fifth of 200 texts.
    texts = [f"a{i} b{i} c{i}" for i in range(200)]
    found = damaged(Damage(13), [*texts, *(f"only{i}" for i in range(20))])
    assert all(found)
    assert found[200:] == [f"only{i}" for i in range(20)]
    assert len({len(text.split()) for text in found[:200]}) == 3


def test_a_dataset_damages_its_noisy_column_anew_each_epoch() -> None:
    dataset, damage = training_dataset(find_loss("dae").columns(ROWS), seed=13)
    assert damage is not None
    first = dataset[:]["noisy"]
    begin_epoch(damage, 1.0)
    assert dataset[:]["noisy"] != first
    assert dataset[:]["text"] == [row.passage for row in ROWS]


def test_a_dataset_of_pairs_is_not_damaged() -> None:
    dataset, damage = training_dataset(find_loss("mnrl").columns(PLAIN), seed=13)
    assert damage is None
    assert dataset[:] == {"anchor": ["q1", "q2"], "positive": ["p1", "p2"]}


def test_dae_refuses_a_family_without_a_decoder(tmp_path: Path) -> None:
    folder = make_family(tmp_path / "tiny", "distilbert")
    base = EmbeddingModel("acme/tiny", folder, device="cpu")
    engine = make_engine(base, tmp_path / "x", rows=PASSAGES, dev=None, options=DAE)
    with pytest.raises(TrainingError) as caught:
        engine.finetune()
    assert str(caught.value) == (
        "--loss dae cannot train a distilbert model, which makes no decoder; it can train: "
        "bert, camembert, electra, roberta, xlm-roberta. Use --loss mnrl"
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert", "electra"])
def test_dae_chooses_among_the_words_of_the_texts_alone(tmp_path: Path, family: str) -> None:
    folder = make_family(tmp_path / "tiny", family)
    texts = ["zorb1 zorb2 zorb3", "zorb4 zorb2"]
    models = load(folder), load(folder)
    stock_loss: Any = DenoisingAutoEncoderLoss
    rows = [TrainingRow("", text, text) for text in texts]
    # The decoder has weights that no model brings.
    torch.manual_seed(13)
    stock = stock_loss(models[0], tie_encoder_decoder=True)
    torch.manual_seed(13)
    ours = LOSSES["dae"].build(models[1], DAE, rows)
    damaged, text = (models[0].preprocess(given) for given in (["zorb1 zorb3", "zorb2"], texts))
    tokens = text["input_ids"]
    # <s>, </s> and four words; padding is none, though the shorter text is padded.
    known = torch.tensor(sorted(set(tokens.unique().tolist()) - {models[0].tokenizer.pad_token_id}))
    assert len(known) == 6
    layer = ours.decoder.get_output_embeddings()
    assert layer.out_features == 6 < stock.decoder.get_output_embeddings().out_features
    with torch.no_grad():
        logits = stock.decoder(
            input_ids=tokens[:, :-1],
            encoder_hidden_states=models[0](dict(damaged))["sentence_embedding"][:, None],
            encoder_attention_mask=damaged["attention_mask"][:, :1],
            use_cache=False,
        ).logits[..., known]
        chances = logits.log_softmax(-1)
        wanted = [
            chances[row, place, int((known == token).nonzero())]
            for row, ids in enumerate(tokens.tolist())
            for place, token in enumerate(ids[1:])
            if token in known
        ]
        found = ours([dict(damaged), dict(text)], None)
    assert found.item() == pytest.approx(-float(sum(wanted)) / len(wanted), rel=1e-4)
    trained = {name for name, p in ours.named_parameters() if p.requires_grad}
    assert not any("word_embeddings" in name for name in trained)
    assert [name for name in trained if "encoder.layer.0.attention.self.query.weight" in name]


def told_apart(model: EmbeddingModel) -> int:
    """Triples whose passage is nearer to the question than the negative, by the margin."""
    questions = model.embed_queries([row.question for row in TRIPLES])
    passages = model.embed_passages([row.passage for row in TRIPLES])
    negatives = model.embed_passages([row.negatives[0] for row in TRIPLES])
    gaps = np.einsum("ij,ij->i", questions, passages - negatives)
    return int((gaps > TRIPLET_MARGIN).sum())


def test_triplet_tells_passages_from_their_negatives(base: EmbeddingModel, tmp_path: Path) -> None:
    options = replace(OPTIONS, loss="triplet")
    engine = make_engine(base, tmp_path / "x", rows=TRIPLES, dev=None, options=options)
    engine.finetune()
    report = engine.finished_report()
    assert report.losses[-1] < report.losses[0]
    assert told_apart(engine.load()) > told_apart(base) + 10


def test_triplet_takes_a_step_for_each_batch_of_examples(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    rows = [replace(row, negatives=(ROWS[0].passage, ROWS[1].passage)) for row in ROWS[2:18]]
    seen = Recorder()
    options = replace(OPTIONS, loss="triplet", epochs=1)
    make_engine(
        base, tmp_path / "x", rows=rows, dev=None, options=options, progress=seen
    ).finetune()
    # 16 rows of 2 negatives in batches of 8.
    assert [call[1:3] for call in seen.calls] == [(step, 4) for step in range(1, 5)]


def test_mnrl_reads_hard_negatives(base: EmbeddingModel) -> None:
    model = load(base.folder)
    loss = LOSSES["mnrl"].build(model, TrainingOptions(scale=20.0), ROWS)
    with torch.no_grad():
        # The negative is the passage itself: a tie, -ln(1/2), where there was no other.
        for negatives, expected in (((), 0.0), ((ROWS[0].passage,), np.log(2))):
            columns = LOSSES["mnrl"].columns([replace(ROWS[0], negatives=negatives)])
            found = loss([model.preprocess(texts) for texts in columns.values()], None)
            assert found.item() == pytest.approx(expected, abs=1e-5)


def test_dae_learns_from_passages_alone(base: EmbeddingModel, tmp_path: Path) -> None:
    engine = make_engine(base, tmp_path / "x", rows=PASSAGES, options=DAE)
    engine.finetune()
    report = engine.finished_report()
    assert report.losses[-1] < report.losses[0] - 0.5
    assert len(report.dev_mrr) == DAE.epochs
    before, after = weights(base.folder), weights(tmp_path / "x")
    # The decoder stays behind.
    assert before.keys() == after.keys()
    assert any(np.abs(before[name] - after[name]).max() > 1e-3 for name in before)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_dae_goes_on_where_it_was_stopped(base: EmbeddingModel, tmp_path: Path) -> None:
    options, passages = DAE, PASSAGES[:24]
    steps = STEPS // 2
    make_engine(base, tmp_path / "whole", rows=passages, options=options).finetune()
    target = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        make_engine(
            base, target, rows=passages, options=options, progress=Recorder(stop_at=steps + 2)
        ).finetune()
    seen = Recorder()
    make_engine(base, target, rows=passages, options=options, progress=seen).finetune()
    assert seen.calls[0][1] == steps + 1
    assert_same_weights(target, tmp_path / "whole")


def stepped(base: EmbeddingModel, target: Path, options: TrainingOptions) -> Path:
    """Three batches of plain gradient descent in float32, which no rounding to bfloat16 blurs."""
    model = load(base.folder)
    pack_texts(model)
    loss = LOSSES["mnrl"].build(model, options, ROWS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for start in (0, 16, 32):
        rows = TRIPLES[start : start + 16]
        columns = LOSSES["mnrl"].columns(rows).values()
        optimizer.zero_grad()
        loss([model.preprocess(texts) for texts in columns], None).backward()
        optimizer.step()
    model.save_pretrained(str(target), create_model_card=False)
    return target


def test_batches_in_pieces_give_the_same_weights(base: EmbeddingModel, tmp_path: Path) -> None:
    options = TrainingOptions(batch_size=16, mini_batch=16)
    whole = stepped(base, tmp_path / "whole", options)
    pieces = stepped(base, tmp_path / "pieces", replace(options, mini_batch=4))
    one, other = weights(whole), weights(pieces)
    start = weights(base.folder)
    assert max(np.abs(one[name] - start[name]).max() for name in one) > 1e-2
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, atol=1e-4, err_msg=name)


def test_the_engine_trains_in_pieces(base: EmbeddingModel, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=1, batch_size=16, mini_batch=4)
    engine = make_engine(base, tmp_path / "x", options=options)
    engine.finetune()
    other = make_engine(base, tmp_path / "y", options=replace(options, mini_batch=16))
    other.finetune()
    report, expected = engine.finished_report(), other.finished_report()
    assert report.losses == pytest.approx(expected.losses, abs=0.05)
    assert report.dev_mrr[-1] == pytest.approx(expected.dev_mrr[-1], abs=0.1)


def test_dae_leaves_the_word_embeddings(base: EmbeddingModel, tmp_path: Path) -> None:
    make_engine(base, tmp_path / "x", rows=PASSAGES, dev=None, options=DAE).finetune()
    name = "embeddings.word_embeddings.weight"
    assert np.array_equal(weights(base.folder)[name], weights(tmp_path / "x")[name])


def test_the_decoder_has_no_dropout(base: EmbeddingModel) -> None:
    loss = LOSSES["dae"].build(load(base.folder), DAE, PASSAGES)
    switch_off_dropout(loss)
    assert not any(m.p for m in loss.decoder.modules() if isinstance(m, torch.nn.Dropout))
