"""Is anything of dev or test to be found in train? Asked of the texts, however they were split."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rag_app.errors import LeakError
from rag_app.pairs.duplicates import NEAR_DUPLICATE, shingles
from rag_app.pairs.pair import Pair, question_key
from rag_app.pairs.split import Split

# A shorter text may stand in a document by chance: it must be like the whole of it.
MIN_SHINGLES = 25
# What stands on both sides is boilerplate, and comes from theirs only if more of it does; a title
# that is put before a chunk may stand in the one and not in the other.
BOILERPLATE_MARGIN = 0.2
_EXAMPLES = 3
_SHOWN = 80

Parts = Mapping[str, Sequence[Pair]]


def check_leaks(split: Split, texts: Mapping[str, str], training_texts: Iterable[str] = ()) -> None:
    """Make sure that training sees nothing of what dev and test ask for.

    Arguments:
        texts: document id -> text.
        training_texts: the questions and passages that training is really given.
    Raises:
        LeakError: a cluster or a question stands in two parts; documents of two parts are
            near-duplicates; a training text is a question of dev or test, or comes out of one of
            their documents. It names examples.
    """
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    _check_shared(
        parts, lambda pair: split.clusters[pair.document_id], what="documents of one cluster"
    )
    _check_shared(parts, lambda pair: question_key(pair.question), what="one question")
    _check_documents("train", split.train, {"dev": split.dev, "test": split.test}, texts)
    _check_documents("dev", split.dev, {"test": split.test}, texts)
    training_texts = set(training_texts)
    _check_training_questions(training_texts, [*split.dev, *split.test])
    _check_training_passages(training_texts, split, texts)


def _check_shared(parts: Parts, key_of: Callable[[Pair], str], *, what: str) -> None:
    first: dict[str, dict[str, Pair]] = defaultdict(dict)
    for part, pairs in parts.items():
        for pair in pairs:
            first[key_of(pair)].setdefault(part, pair)
    shared = [of_part for of_part in first.values() if len(of_part) > 1]
    _refuse(f"{what} in two parts", [_described(of_part) for of_part in shared])


def _check_documents(
    part: str, pairs: Sequence[Pair], others: Parts, texts: Mapping[str, str]
) -> None:
    owners = {pair.document_id: other for other, found in others.items() for pair in found}
    theirs = list(owners)
    index = _ShingleIndex(texts[document_id] for document_id in theirs)
    leaks = [
        f"{part}'s {document_id!r} and {owners[theirs[number]]}'s {theirs[number]!r}"
        for document_id in _documents(pairs)
        for number in index.near(shingles(texts[document_id]))
    ]
    _refuse("near-duplicate documents in two parts", leaks)


def _check_training_questions(training_texts: set[str], held_out: Sequence[Pair]) -> None:
    asked = {question_key(pair.question) for pair in held_out}
    known = [text for text in training_texts if question_key(text) in asked]
    _refuse("questions of dev or test among the training texts", map(_shortened, known))


def _check_training_passages(
    training_texts: set[str], split: Split, texts: Mapping[str, str]
) -> None:
    asked = {pair.question for pair in split.train}
    passages = {
        text: shingles(text)
        for text in training_texts - asked
        if not text.rstrip().endswith(("?", "？"))
    }
    held_out = _documents([*split.dev, *split.test])
    theirs = _ShingleIndex(texts[document_id] for document_id in held_out)
    shares = {text: theirs.share(found) for text, found in passages.items()}
    suspects = {text: share for text, share in shares.items() if share >= NEAR_DUPLICATE}
    if suspects:
        clusters = {split.clusters[document_id] for document_id in held_out}
        others = (name for name in texts if split.clusters[name] not in clusters)
        ours = _ShingleIndex(texts[document_id] for document_id in others)
        taken = [
            text
            for text, share in suspects.items()
            if ours.contained(passages[text]) < share - BOILERPLATE_MARGIN
        ]
        _refuse("passages of dev or test among the training texts", map(_shortened, taken))


class _ShingleIndex:
    """Which of some texts have a shingle: hashes in order, each with its text's number."""

    def __init__(self, texts: Iterable[str]) -> None:
        rows = [np.fromiter(found, np.int64, len(found)) for found in map(shingles, texts)]
        self.sizes = np.array([len(row) for row in rows], dtype=np.int64)
        hashes = np.concatenate([*rows, np.empty(0, dtype=np.int64)])
        order = np.argsort(hashes)
        self._hashes = hashes[order]
        self._owners = np.repeat(np.arange(len(rows)), self.sizes)[order]

    def common(self, wanted: frozenset[int]) -> npt.NDArray[np.int64]:
        """How many of the wanted shingles each text has: (n_texts,)."""
        keys = np.fromiter(wanted, np.int64, len(wanted))
        starts = np.searchsorted(self._hashes, keys, side="left")
        ends = np.searchsorted(self._hashes, keys, side="right")
        found = [self._owners[start:end] for start, end in zip(starts, ends, strict=True)]
        return np.bincount(np.concatenate(found), minlength=len(self.sizes))

    def near(self, wanted: frozenset[int]) -> list[int]:
        """Numbers of the texts that a text of these shingles is a near-duplicate of."""
        return np.flatnonzero(self.resemblance(wanted) >= NEAR_DUPLICATE).tolist()

    def resemblance(self, wanted: frozenset[int]) -> npt.NDArray[np.float64]:
        """The Jaccard similarity of the wanted shingles to each text: (n_texts,)."""
        common = self.common(wanted)
        return np.asarray(common / (len(wanted) + self.sizes - common))

    def contained(self, wanted: frozenset[int]) -> float:
        """How much of the wanted shingles one text has."""
        return float(self.common(wanted).max(initial=0) / len(wanted))

    def share(self, wanted: frozenset[int]) -> float:
        """How much of the wanted shingles one text has; few of them must be most of it, too."""
        if len(wanted) < MIN_SHINGLES:
            return float(self.resemblance(wanted).max(initial=0))
        return self.contained(wanted)


def _documents(pairs: Iterable[Pair]) -> list[str]:
    return list(dict.fromkeys(pair.document_id for pair in pairs))


def _described(of_part: Mapping[str, Pair]) -> str:
    return " and ".join(
        f"{part}'s {pair.question!r} ({pair.document_id})" for part, pair in of_part.items()
    )


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _refuse(what: str, leaks: Iterable[str]) -> None:
    """Raise if there are leaks.

    Raises:
        LeakError: names the first of them.
    """
    found = sorted(leaks)
    if found:
        more = f" and {len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else ""
        raise LeakError(
            f"{what}: {'; '.join(found[:_EXAMPLES])}{more}. Scores on them would be too good; "
            "split the pairs anew with `rag-app finetune`, or take one side's pairs out"
        )
