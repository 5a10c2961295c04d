"""The losses by name: how each is built, and the training columns that it reads."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    TripletDistanceMetric,
    TripletLoss,
)
from transformers import TrainerCallback

from rag_app.errors import TrainingError
from rag_app.finetune.train.denoising import DenoisingLoss
from rag_app.finetune.train.methods import freeze_word_embeddings
from rag_app.finetune.train.packed_columns import PackedColumnsLoss
from rag_app.finetune.train.processes import world_size

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

    from rag_app.finetune.options import TrainingOptions, TrainingRow

Columns = dict[str, list[str]]

# The inverse temperature where neither options nor the model say one.
DEFAULT_SCALE = 20.0
# Unit vectors are at most 2 apart in cosine distance; sentence-transformers' own margin of 5 would
# never be reached.
TRIPLET_MARGIN = 0.3
# The share of words that a damaged text keeps (Wang et al. 2021, section 3.1).
KEPT_WORDS = 0.4
# Families whose class with a language-model head can be a decoder with cross-attention.
DECODER_FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})


@dataclass(frozen=True)
class LossEntry:
    """A loss.

    Fields:
        build: makes it for a model and the rows that it will train on.
        columns: texts by column for rows, in the order in which the loss reads them.
        repeats: how many examples a row becomes.
        reads_packed: whether it takes texts that are not padded.
        trains_on: rows of "pairs", or all the "passages", with no questions.
        needs_negatives: in each row.
        in_pieces: whether a batch can pass through the model in pieces, with the same result.
    """

    build: Callable[["SentenceTransformer", "TrainingOptions", Sequence["TrainingRow"]], Any]
    columns: Callable[[Sequence["TrainingRow"]], Columns]
    repeats: Callable[["TrainingRow"], int] = lambda row: 1
    reads_packed: bool = True
    trains_on: str = "pairs"
    needs_negatives: bool = False
    in_pieces: bool = False


class PackedColumnsRankingLoss(PackedColumnsLoss, MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss with one pass."""


class PackedColumnsTripletLoss(PackedColumnsLoss, TripletLoss):
    """TripletLoss with one pass."""


def _mnrl(
    model: "SentenceTransformer", options: "TrainingOptions", _: Sequence["TrainingRow"]
) -> Any:
    """Multiple negatives ranking: the other passages of the batch are the negatives.

    Henderson et al. 2017, arXiv 1705.00652, section 4.4; batches above `mini_batch` by caching
    gradients, Gao et al. 2021, arXiv 2101.06983.
    """
    several = world_size() > 1
    scale = options.scale or DEFAULT_SCALE
    if options.batch_size // world_size() <= options.mini_batch:
        return PackedColumnsRankingLoss(model, scale=scale, gather_across_devices=several)
    return CachedMultipleNegativesRankingLoss(
        model,
        scale=scale,
        mini_batch_size=options.mini_batch,
        gather_across_devices=several,
    )


def _pair_columns(rows: Sequence["TrainingRow"]) -> Columns:
    columns = {
        "anchor": [row.question for row in rows],
        "positive": [row.positive for row in rows],
    }
    for number in range(min(len(row.negatives) for row in rows)):
        columns[f"negative_{number + 1}"] = [row.negatives[number] for row in rows]
    return columns


def _triplet(
    model: "SentenceTransformer", _: "TrainingOptions", __: Sequence["TrainingRow"]
) -> Any:
    """A passage nearer to its question than another, by a margin.

    Reimers and Gurevych 2019, arXiv 1908.10084, section 3.
    """
    return PackedColumnsTripletLoss(model, TripletDistanceMetric.COSINE, TRIPLET_MARGIN)


def _triplet_columns(rows: Sequence["TrainingRow"]) -> Columns:
    return {
        "anchor": [row.question for row in rows for _ in row.negatives],
        "positive": [row.positive for row in rows for _ in row.negatives],
        "negative": [negative for row in rows for negative in row.negatives],
    }


def _dae(model: "SentenceTransformer", _: "TrainingOptions", rows: Sequence["TrainingRow"]) -> Any:
    """Denoising auto-encoder: a decoder restores a damaged passage from its vector alone.

    Wang et al. 2021, "TSDAE", arXiv 2104.06979.
    """
    inner = getattr(model[0], "auto_model", None)
    family = inner.config.model_type if inner is not None else type(model[0]).__name__
    if family not in DECODER_FAMILIES:
        raise TrainingError(
            f"--loss dae cannot train a {family} model, which makes no decoder; it can train: "
            f"{', '.join(sorted(DECODER_FAMILIES))}. Use --loss mnrl"
        )
    loss = DenoisingLoss(model, [row.passage for row in rows])
    # The decoder's weights, which are all trained, took the place of the model's.
    freeze_word_embeddings(model)
    return loss


def _dae_columns(rows: Sequence["TrainingRow"]) -> Columns:
    texts = [row.passage for row in rows]
    return {"noisy": texts, "text": texts}


LOSSES = {
    "mnrl": LossEntry(_mnrl, _pair_columns, in_pieces=True),
    "triplet": LossEntry(
        _triplet,
        _triplet_columns,
        repeats=lambda row: len(row.negatives),
        needs_negatives=True,
    ),
    "dae": LossEntry(_dae, _dae_columns, reads_packed=False, trains_on="passages"),
}


def find_loss(name: str) -> LossEntry:
    """The loss of this name.

    Raises:
        TrainingError: unknown; lists the known ones.
    """
    if name not in LOSSES:
        raise TrainingError(
            f"there is no loss {name!r}; --loss takes one of: {', '.join(LOSSES)}, "
            "or several in turn, such as dae,mnrl"
        )
    return LOSSES[name]


def at_cut(model: "SentenceTransformer", criterion: Any) -> Any:
    """The same loss at the full and the cut dimensions, where a model's vectors are cut.

    Kusupati et al. 2022, "Matryoshka representation learning", arXiv 2205.13147.
    """
    cut = model.truncate_dim
    if cut is None:
        return criterion
    with model.truncate_embeddings(None):
        full = model.get_embedding_dimension()
        return MatryoshkaLoss(model, criterion, [full, cut])


def training_dataset(columns: Columns, *, seed: int) -> tuple["Dataset", "Damage | None"]:
    """The columns as a dataset; a column "noisy" is damaged anew in each epoch.

    Returns:
        the dataset, and the callback that tells the damage which epoch it is, if there is any.
    """
    from datasets import Dataset

    dataset = Dataset.from_dict(columns)
    if "noisy" not in columns:
        return dataset, None
    damage = Damage(seed)
    dataset.set_transform(damage)
    return dataset, damage


class Damage(TrainerCallback):
    """Deletes words of the column "noisy": the same in each run, others in each epoch."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.epoch = 0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the epoch."""
        self.epoch = round(state.epoch)

    def __call__(self, batch: Columns) -> Columns:
        """The batch with its noisy texts damaged."""
        return {**batch, "noisy": [self._damage(text) for text in batch["noisy"]]}

    def __deepcopy__(self, memo: Any) -> "Damage":
        # The trainer copies the dataset; the copy must still hear of the epochs.
        return self

    def _damage(self, text: str) -> str:
        rng = random.Random(f"{self.seed} {self.epoch} {text}")  # noqa: S311
        words = text.split()
        kept = [word for word in words if rng.random() < KEPT_WORDS]
        return " ".join(kept or words[:1])
