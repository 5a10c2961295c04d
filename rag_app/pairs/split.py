"""Pairs into train, dev and test, by document: nothing of a test answer is ever trained on.

What else a split may be is in held_out.py: questions held out by themselves, and folds.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rag_app.errors import ConfigError, PairsError
from rag_app.pairs.pair import Pair
from rag_app.text.asked import question_key
from rag_app.text.near_duplicates import cluster_documents

MIN_PAIRS = 20
# So few ways to place the clusters are all tried; of more, random ones, fewer the more clusters.
_TRIED = 20_000


@dataclass(frozen=True)
class Split:
    """Pairs in parts. Train, dev and test have no cluster of documents in common.

    Fields:
        train, dev, test: pairs, sorted by question.
        clusters: document id -> cluster id, for every document of the index.
        known: test pairs whose passages are trained on, with other questions; those of a test file
            whose documents are.
        dev_is_known: so are those of dev, whose documents are not held out then.
        test_is_given: test and known are of a file of their own, which no refit trains on.
        repeat_test: pairs that were left out, since a question of that file asks the same.
    """

    train: list[Pair]
    dev: list[Pair]
    test: list[Pair]
    clusters: dict[str, str]
    known: list[Pair] = field(default_factory=list)
    dev_is_known: bool = False
    test_is_given: bool = False
    repeat_test: int = 0

    @property
    def given(self) -> list[Pair]:
        """The pairs that were split: all, but those of a test file."""
        return [*self.train, *(self.dev if self.test_is_given else self.held_out)]

    @property
    def held_out(self) -> list[Pair]:
        """All pairs that are not trained on."""
        return [*self.dev, *self.test, *self.known]

    @property
    def held_out_by_document(self) -> list[Pair]:
        """Those whose documents are not trained on either."""
        return [*([] if self.dev_is_known else self.dev), *self.test]

    @property
    def held_out_by_question(self) -> list[Pair]:
        """Those whose passages are trained on."""
        return [*(self.dev if self.dev_is_known else []), *self.known]


def split_pairs(
    pairs: Sequence[Pair],
    texts: Mapping[str, str],
    *,
    seed: int,
    dev_share: float = 0.1,
    test_share: float = 0.3,
    group_of: Callable[[str], str] | None = None,
) -> Split:
    """Split pairs by clusters of documents.

    Near-duplicate documents are one cluster, and so are documents that answer the same question.
    Which part a cluster falls into depends on the seed and the texts, not on ids or order.

    Arguments:
        texts: document id -> text, for every document of the index.
        dev_share, test_share: wished shares of the pairs; whole clusters come close to them.
        group_of: document id -> what it is a part of (the article of a paragraph), where
            documents of one group belong together.
    Raises:
        PairsError: too few pairs, too few clusters, or a document without a text.
        ConfigError: the shares leave nothing to train on.
    """
    shares = {"train": 1 - dev_share - test_share, "test": test_share, "dev": dev_share}
    if dev_share + test_share >= 1 or min(dev_share, test_share) < 0:
        raise ConfigError(
            f"a dev share of {dev_share} and a test share of {test_share} leave nothing to train "
            "on; choose two that are 0 or more and below 1 together"
        )
    require_enough(pairs, texts)
    clusters = joined_documents(pairs, texts, group_of)
    parts = deal_documents(pairs, clusters, shares, seed=seed)
    return Split(parts["train"], parts["dev"], parts["test"], clusters)


def joined_documents(
    pairs: Iterable[Pair],
    texts: Mapping[str, str],
    group_of: Callable[[str], str] | None = None,
) -> dict[str, str]:
    """Document id -> cluster: near-duplicates, answers to one question, documents of one group."""
    return cluster_documents(texts, [*_same_question(pairs), *_same_group(texts, group_of)])


def deal_documents(
    pairs: Sequence[Pair], clusters: Mapping[str, str], shares: Mapping[str, float], *, seed: int
) -> dict[str, list[Pair]]:
    """Pairs by part, sorted by question; no two parts have a cluster in common.

    Arguments:
        clusters: document id -> cluster.
        shares: part -> wished share of the pairs, 1 together; a part of share 0 stays empty.
    Raises:
        PairsError: fewer clusters than parts.
    """
    wanted = {part: share for part, share in shares.items() if share}
    _require_documents(pairs, parts=list(wanted))
    sizes = Counter(clusters[pair.document_id] for pair in pairs)
    part_of = _place_clusters(sizes, wanted, seed)
    parts: dict[str, list[Pair]] = {part: [] for part in shares}
    for pair in by_question(pairs):
        parts[part_of[clusters[pair.document_id]]].append(pair)
    return parts


def by_question(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs in an order that depends on their content alone."""
    return sorted(pairs, key=lambda pair: (pair.question, pair.id))


def require_enough(pairs: Sequence[Pair], texts: Mapping[str, str]) -> None:
    """Raise PairsError for too few pairs, or a document without a text."""
    if len(pairs) < MIN_PAIRS:
        raise PairsError(
            f"{len(pairs)} pairs are too few to train on some and test on others; label at least "
            f"{MIN_PAIRS}, or write some with `rag-app questions`"
        )
    missing = sorted({pair.document_id for pair in pairs} - texts.keys())
    if missing:
        raise PairsError(
            f"the index has no text of {len(missing)} documents of the pairs, such as "
            f"{missing[0]!r}; run `rag-app ingest` on their folder"
        )


def _require_documents(pairs: Sequence[Pair], *, parts: Sequence[str]) -> None:
    documents = {pair.document_id for pair in pairs}
    if len(documents) == 1 < len(parts):
        raise PairsError(
            f"all {len(pairs)} pairs are about one document, {documents.pop()!r}, and a document "
            f"is never shared out among {', '.join(parts)}; label questions to other documents as "
            "well, or cut this one into several files"
        )


def _same_question(pairs: Iterable[Pair]) -> Iterator[tuple[str, str]]:
    """Links between the documents that answer one question."""
    first: dict[str, str] = {}
    for pair in pairs:
        yield first.setdefault(question_key(pair.question), pair.document_id), pair.document_id


def _same_group(
    document_ids: Iterable[str], group_of: Callable[[str], str] | None
) -> Iterator[tuple[str, str]]:
    """Links between the documents of one group."""
    if group_of is not None:
        first: dict[str, str] = {}
        for document_id in document_ids:
            yield first.setdefault(group_of(document_id), document_id), document_id


def _place_clusters(
    sizes: Mapping[str, int], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Cluster -> part, as close to the shares as whole clusters come; the seed breaks ties.

    Of the placings that are tried the one with the least chi-square is taken; one whose parts are
    all less than a pair from their targets ends the search.

    Raises:
        PairsError: there are fewer clusters than parts.
    """
    if len(sizes) < len(shares):
        raise PairsError(
            f"all pairs fall into {len(sizes)} cluster(s) of documents that repeat each other or "
            f"answer the same question, too few for {' and '.join(shares)}; label questions to "
            "other documents as well"
        )
    total = sum(sizes.values())
    targets = {part: share * total for part, share in shares.items()}
    best: dict[str, str] = {}
    least = float("inf")
    for placed in _placings(sizes, targets, seed):
        lacking = _lacking(placed, sizes, targets)
        distance = sum(lacking[part] ** 2 / target for part, target in targets.items())
        if distance < least:
            best, least = placed, distance
        if all(abs(pairs) < 1 for pairs in lacking.values()):
            break
    return best


def _placings(
    sizes: Mapping[str, int], targets: Mapping[str, float], seed: int
) -> Iterator[dict[str, str]]:
    """Yield ways to place the clusters, with none of the parts empty: all, if they are few."""
    if len(targets) ** len(sizes) <= _TRIED:
        order = _shuffled(sizes, seed, 0)
        for parts in itertools.product(targets, repeat=len(order)):
            if len(set(parts)) == len(targets):
                yield dict(zip(order, parts, strict=True))
    else:
        for trial in range(1 + _TRIED * 10 // len(sizes)):
            yield _deal(_shuffled(sizes, seed, trial), sizes, targets)


def _shuffled(clusters: Iterable[str], seed: int, trial: int) -> list[str]:
    def key(cluster: str) -> bytes:
        return hashlib.sha256(f"{seed}\0{trial}\0{cluster}".encode()).digest()

    return sorted(clusters, key=key)


def _deal(
    order: Sequence[str], sizes: Mapping[str, int], targets: Mapping[str, float]
) -> dict[str, str]:
    """Give each cluster to the part that lacks the largest share of its target."""
    lacking = dict(targets)
    placed = {}
    for cluster in order:
        part = max(lacking, key=lambda name: (lacking[name] / targets[name], targets[name]))
        placed[cluster] = part
        lacking[part] -= sizes[cluster]
    return placed


def _lacking(
    placed: Mapping[str, str], sizes: Mapping[str, int], targets: Mapping[str, float]
) -> dict[str, float]:
    """How many pairs each part has too few of; below 0, too many."""
    lacking = dict(targets)
    for cluster, part in placed.items():
        lacking[part] -= sizes[cluster]
    return lacking
