"""Clean batches: with in-batch negatives, a passage that stands twice in a batch is its own enemy.

LlamaIndex's engine shuffles nothing, so two questions of one chunk are neighbours in every batch;
sentence-transformers' NO_DUPLICATES knows equal texts only, not two chunks of one document.
"""

import functools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import SequentialSampler

if TYPE_CHECKING:
    from datasets import Dataset


def deal_batches(groups: Sequence[str], batch_size: int, *, seed: int) -> list[list[int]]:
    """Deal rows into batches so that no batch holds two rows of one group.

    The batches are of equal size, give or take one, at most `batch_size`, and hold every row
    exactly once. Groups are dealt like cards, one row to each batch in turn; there are at least as
    many batches as the largest group has rows, so its rows never meet.

    Arguments:
        groups: the group of each row.
    Returns:
        row numbers by batch.
    """
    rng = random.Random(seed)  # noqa: S311
    count = batch_count(groups, batch_size)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows_of[group].append(row)
    order = list(rows_of)
    rng.shuffle(order)
    batches: list[list[int]] = [[] for _ in range(count)]
    place = 0
    for group in order:
        rng.shuffle(rows_of[group])
        for row in rows_of[group]:
            batches[place % count].append(row)
            place += 1
    rng.shuffle(batches)
    return batches


def batch_count(groups: Sequence[str], batch_size: int) -> int:
    """Batches of one epoch."""
    return max(math.ceil(len(groups) / batch_size), max(Counter(groups).values()))


class CleanBatchSampler(DefaultBatchSampler):
    """`deal_batches` anew for each epoch, as a sentence-transformers batch sampler.

    With several processes each batch comes in as many equal parts, one after another; the launcher
    gives each process one of them. What cannot be shared out evenly waits for the next epoch.

    Arguments:
        batch_size: pairs of one part.
    """

    def __init__(
        self,
        dataset: "Dataset",
        *,
        groups: Sequence[str],
        batch_size: int,
        seed: int,
        processes: int = 1,
    ) -> None:
        super().__init__(SequentialSampler(dataset), batch_size=batch_size, drop_last=False)
        self.groups = groups
        self.seed = seed
        self.processes = processes
        self.whole = batch_size * processes
        if processes > 1:
            # accelerate leaves batches out that are smaller than this, and ours may be.
            self.batch_size = None

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the present epoch."""
        # Epochs must differ from each other and from the neighbouring seed's epochs.
        for batch in deal_batches(self.groups, self.whole, seed=self.seed * 10_007 + self.epoch):
            size = len(batch) // self.processes
            for part in range(self.processes):
                yield batch[part * size : (part + 1) * size]

    def __len__(self) -> int:
        return self.processes * batch_count(self.groups, self.whole)


def clean_batches(groups: Sequence[str], *, processes: int = 1) -> Callable[..., CleanBatchSampler]:
    """What sentence-transformers' `batch_sampler` argument takes: called with dataset and sizes."""
    # A partial of a module's function, since the trainer pickles its arguments.
    return functools.partial(_make_sampler, groups=groups, processes=processes)


def _make_sampler(
    dataset: "Dataset",
    *,
    groups: Sequence[str],
    batch_size: int,
    seed: int,
    processes: int,
    **_: Any,
) -> CleanBatchSampler:
    return CleanBatchSampler(
        dataset, groups=groups, batch_size=batch_size, seed=seed, processes=processes
    )
