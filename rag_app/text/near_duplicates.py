"""Documents that say nearly the same: which of them belong together.

Two documents are near-duplicates if half of their three-word shingles or more are common to both
(Jaccard; Broder 1997, "On the resemblance and containment of documents").
"""

import hashlib
import itertools
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag_app.text.words import bare_words

NEAR_DUPLICATE = 0.5
SHINGLE_WORDS = 3
# Numbers compared at once; each takes some 50 bytes on its way.
_SLAB = 2_000_000

Indices = npt.NDArray[np.int64]


def shingles(text: str) -> frozenset[int]:
    """Hashes of a text's runs of three words; of the whole text, if it has fewer words.

    They are the same in every process, below 2**63.
    """
    words = bare_words(text)
    if len(words) < SHINGLE_WORDS:
        return frozenset([_hash(" ".join(text.casefold().split()))])
    runs = (words[start:] for start in range(SHINGLE_WORDS))
    return frozenset(map(_hash, map(" ".join, zip(*runs, strict=False))))


def _hash(text: str) -> int:
    """Two checksums side by side: Python's own hash of a text differs from process to process.

    10,000 texts of 200 words take .76 s of processor time; with Python's hash .39 s, with BLAKE2
    1.44 s.
    """
    data = text.encode("utf-8", "surrogatepass")
    return zlib.crc32(data) << 31 ^ zlib.adler32(data)


def shingle_array(text: str) -> Indices:
    """As `shingles`: a sorted array, which takes an eighth of the memory."""
    found = shingles(text)
    return np.sort(np.fromiter(found, np.int64, len(found)))


def cluster_documents(
    texts: Mapping[str, str], links: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """Join near-duplicate documents, and those that are linked, into clusters.

    Arguments:
        texts: document id -> text.
        links: pairs of document ids that belong together whatever they say.
    Returns:
        document id -> cluster id (16 hex digits), which depends on the cluster's texts alone.
    """
    numbers = {document_id: number for number, document_id in enumerate(texts)}
    linked = [(numbers[one], numbers[other]) for one, other in links]
    sets = [shingle_array(text) for text in texts.values()]
    return _named(cluster_sets(sets, linked, at_least=NEAR_DUPLICATE), texts)


def cluster_sets(
    sets: Sequence[Indices], links: Iterable[tuple[int, int]] = (), *, at_least: float
) -> Indices:
    """Join sets of shingles that have enough in common, and what is joined with what they join.

    Arguments:
        sets: as `shingle_array` makes them.
        links: pairs of numbers of sets that belong together whatever they hold.
        at_least: the Jaccard similarity of two sets that are joined.
    Returns:
        A label for each set, (n_sets,).
    """
    clusters = _Clusters(len(sets))
    clusters.join(np.array(list(links), dtype=np.int64).reshape(-1, 2))
    originals, copies = _equal_sets(sets)
    clusters.join(copies)
    # The largest first: one that holds a template joins all that fill it in, at once.
    originals.sort(key=lambda number: -len(sets[number]))
    if len(originals) > 1:
        chosen = [sets[number] for number in originals]
        _join_near_duplicates(chosen, np.array(originals), clusters, at_least)
    return clusters.labels


class _Clusters:
    """A label for each document; joining two documents gives their clusters one label.

    Arguments:
        count: how many documents there are; each begins as a cluster of its own.
    """

    def __init__(self, count: int) -> None:
        self.labels: Indices = np.arange(count)

    def apart(self, pairs: Indices) -> npt.NDArray[np.bool_]:
        """Which of the pairs, (n, 2), are not in one cluster yet."""
        labels = self.labels[pairs]
        return np.asarray(labels[:, 0] != labels[:, 1])

    def join(self, pairs: Indices) -> None:
        """Join the two documents of each of the pairs, (n, 2)."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if len(pairs):
            ends = self.labels[pairs]
            shape = (len(self.labels), len(self.labels))
            graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape)
            _, joined = connected_components(graph, directed=False)
            self.labels = joined[self.labels]


def _equal_sets(sets: Sequence[Indices]) -> tuple[list[int], Indices]:
    """Numbers of the sets that are the first of their like, and (copy, first) of the others."""
    first: dict[bytes, int] = {}
    copies = []
    for number, shingle_set in enumerate(sets):
        if (original := first.setdefault(shingle_set.tobytes(), number)) != number:
            copies.append((number, original))
    return list(first.values()), np.array(copies, dtype=np.int64).reshape(-1, 2)


def _join_near_duplicates(
    sets: Sequence[Indices], numbers: Indices, clusters: _Clusters, at_least: float
) -> None:
    """Join the documents whose sets are near-duplicates.

    Arguments:
        sets: the largest first.
        numbers: which document each of them is.
        at_least: the Jaccard similarity of near-duplicates.
    """
    matrix = _by_rarity(sets)
    sizes = np.diff(matrix.indptr)
    for pairs in _candidates(matrix, at_least):
        large, small = sizes[pairs].T
        pairs = pairs[(small >= at_least * large) & clusters.apart(numbers[pairs])]
        for slab in _slabs(sizes[pairs].sum(axis=1)):
            some = pairs[slab]
            some = some[clusters.apart(numbers[some])]
            common = (matrix[some[:, 0]].multiply(matrix[some[:, 1]])).sum(axis=1)
            union = sizes[some].sum(axis=1) - common
            clusters.join(numbers[some[common >= at_least * union]])


def _by_rarity(sets: Sequence[Indices]) -> Any:
    """Sets as the rows of a sparse matrix of ones; the rarest shingle is the first column."""
    from scipy.sparse import csr_array

    sizes = np.array([len(shingle_set) for shingle_set in sets])
    every = np.concatenate(sets)
    _, columns, counts = np.unique(every, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    ones = np.ones(len(every), dtype=np.int32)
    matrix = csr_array((ones, rank[columns], ends), shape=(len(sets), len(counts)))
    matrix.sort_indices()
    return matrix


def _candidates(matrix: Any, at_least: float) -> Iterator[Indices]:
    """Yield slabs, (n, 2), of all pairs of rows that may be near-duplicates, the larger first.

    Near-duplicates have a share s of the larger set in common, and 2s / (1 + s) of the smaller,
    so they meet in the rarest 1 - s of the one and the rarest (1 - s) / (1 + s) of the other
    (prefix filtering: Xiao et al. 2008, "Efficient similarity joins for near duplicate
    detection"). What every document has ("contact our support") is never multiplied out.
    """
    larger = _prefixes(matrix, common=at_least)
    smaller = _prefixes(matrix, common=2 * at_least / (1 + at_least))
    columns = smaller.T.tocsr()
    for slab in _slabs(larger @ smaller.sum(axis=0)):
        product = (larger[slab] @ columns).tocoo()
        rows, others = product.row.astype(np.int64) + slab.start, product.col.astype(np.int64)
        smaller_ones = others > rows
        yield np.column_stack([rows[smaller_ones], others[smaller_ones]])


def _prefixes(matrix: Any, *, common: float) -> Any:
    """The rarest shingles of each row, one of which any share `common` of the row must hold."""
    from scipy.sparse import csr_array

    sizes = np.diff(matrix.indptr)
    # Less a hair: 2 / 3 of 6 must not come out above 4.
    kept = sizes - np.ceil(common * sizes - 1e-9).astype(np.int64) + 1
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)
    inside = place < np.repeat(kept, sizes)
    ends = np.concatenate([[0], np.cumsum(kept)])
    return csr_array((matrix.data[inside], matrix.indices[inside], ends), shape=matrix.shape)


def _slabs(costs: npt.NDArray[Any]) -> Iterator[slice]:
    """Cut a sequence into slices of a cost of about `_SLAB` each."""
    steps = np.cumsum(costs, dtype=np.int64) // _SLAB
    cuts = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(costs)]
    for start, end in itertools.pairwise(cuts):
        if start < end:
            yield slice(start, end)


def _named(labels: Indices, texts: Mapping[str, str]) -> dict[str, str]:
    """Name each cluster by a hash of the texts in it."""
    digests: dict[int, set[bytes]] = defaultdict(set)
    for label, text in zip(labels.tolist(), texts.values(), strict=True):
        digests[label].add(hashlib.sha256(text.encode()).digest())
    names = {
        label: hashlib.sha256(b"".join(sorted(members))).hexdigest()[:16]
        for label, members in digests.items()
    }
    return dict(zip(texts, (names[label] for label in labels.tolist()), strict=True))
