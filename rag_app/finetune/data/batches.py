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

from rag_app.text.asked import question_key

if TYPE_CHECKING:
    from datasets import Dataset

    from rag_app.finetune.options import TrainingRow

# Places that are looked at for a row that must leave its batch.
TRIES = 100


def deal_batches(
    groups: Sequence[str],
    batch_size: int,
    *,
    seed: int,
    against: Sequence[frozenset[str]] = (),
) -> list[list[int]]:
    """Deal rows into batches so that no batch holds two rows of one group.

    The batches are of equal size, give or take one, at most `batch_size`, and hold every row
    exactly once. Groups are dealt like cards, one row to each batch in turn; there are at least as
    many batches as the largest group has rows, so its rows never meet.

    Arguments:
        groups: the group of each row.
        against: of each row the groups that it should not meet either, see `groups_against`; they
            do not, where room for them is found.
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
    if any(against):
        _part(batches, groups, against, rng)
    return batches


def groups_against(rows: Sequence["TrainingRow"]) -> list[frozenset[str]]:
    """The groups whose passages each row has as negatives, and the others that answer its question.

    Beside such a passage's own question, a negative of another is the right answer called wrong.
    So is an answer beside another one of the same question.
    """
    of_passage: dict[str, set[str]] = defaultdict(set)
    of_question: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        of_passage[row.passage].add(row.group)
        # Passages that are trained on alone have no question.
        if row.question:
            of_question[question_key(row.question)].add(row.group)
    return [
        frozenset(group for text in row.negatives for group in of_passage.get(text, ()))
        | (of_question[question_key(row.question)] - {row.group})
        for row in rows
    ]


def _part(
    batches: list[list[int]],
    groups: Sequence[str],
    against: Sequence[frozenset[str]],
    rng: random.Random,
) -> None:
    """Let rows that should not meet change places with rows of other batches, if that helps."""

    def clashes(row: int, batch: Sequence[int], instead_of: int) -> float:
        others = [other for other in batch if other not in (row, instead_of)]
        if any(groups[other] == groups[row] for other in others):
            return math.inf
        return sum(
            (groups[row] in against[other]) + (groups[other] in against[row]) for other in others
        )

    for batch in batches:
        for place in range(len(batch)):
            for _ in range(TRIES):
                row, to = batch[place], rng.choice(batches)
                here = clashes(row, batch, row)
                if not here:
                    break
                there = rng.randrange(len(to))
                other = to[there]
                before = here + clashes(other, to, other)
                after = clashes(row, to, other) + clashes(other, batch, row)
                if to is not batch and after < before:
                    batch[place], to[there] = other, row


def batch_count(groups: Sequence[str], batch_size: int) -> int:
    """Batches of one epoch."""
    return max(math.ceil(len(groups) / batch_size), max(Counter(groups).values()))


class CleanBatchSampler(DefaultBatchSampler):
    """`deal_batches` anew for each epoch, as a sentence-transformers batch sampler.

    With several processes each batch comes in as many equal parts, one after another; the launcher
    gives each process one of them. What cannot be shared out evenly waits for the next epoch.

    Arguments:
        groups, against: as of `deal_batches`.
        batch_size: pairs of one part.
    """

    def __init__(
        self,
        dataset: "Dataset",
        *,
        groups: Sequence[str],
        batch_size: int,
        seed: int,
        against: Sequence[frozenset[str]] = (),
        processes: int = 1,
    ) -> None:
        super().__init__(SequentialSampler(dataset), batch_size=batch_size, drop_last=False)
        self.groups = groups
        self.against = against
        self.seed = seed
        self.processes = processes
        self.whole = batch_size * processes
        if processes > 1:
            # accelerate leaves batches out that are smaller than this, and ours may be.
            self.batch_size = None

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the present epoch."""
        # Epochs must differ from each other and from the neighbouring seed's epochs.
        seed = self.seed * 10_007 + self.epoch
        for batch in deal_batches(self.groups, self.whole, seed=seed, against=self.against):
            size = len(batch) // self.processes
            for part in range(self.processes):
                yield batch[part * size : (part + 1) * size]

    def __len__(self) -> int:
        return self.processes * batch_count(self.groups, self.whole)


def clean_batches(
    groups: Sequence[str], *, against: Sequence[frozenset[str]] = (), processes: int = 1
) -> Callable[..., CleanBatchSampler]:
    """What sentence-transformers' `batch_sampler` argument takes: called with dataset and sizes."""
    # A partial of a module's function, since the trainer pickles its arguments.
    return functools.partial(_make_sampler, groups=groups, against=against, processes=processes)


def _make_sampler(
    dataset: "Dataset",
    *,
    groups: Sequence[str],
    against: Sequence[frozenset[str]],
    batch_size: int,
    seed: int,
    processes: int,
    **_: Any,
) -> CleanBatchSampler:
    return CleanBatchSampler(
        dataset,
        groups=groups,
        against=against,
        batch_size=batch_size,
        seed=seed,
        processes=processes,
    )
