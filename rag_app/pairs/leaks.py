"""Is anything of dev or test to be found in train? Asked of the texts, however they were split."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rag_app.errors import LeakError
from rag_app.pairs.pair import Pair
from rag_app.pairs.split import Split
from rag_app.text.asked import question_key
from rag_app.text.near_duplicates import NEAR_DUPLICATE, SHINGLE_WORDS, shingles
from rag_app.text.words import bare_words

# A shorter text may stand in a document by chance: it must be like the whole of it.
MIN_SHINGLES = 25
# People ask in the words of a short answer ("What is the Paycheck Protection Program?"): a short
# question must have nearly all of it, and of it alone.
NEARLY_ALL = 0.8
# What stands on both sides is boilerplate, and comes from theirs only if more of it does; a title
# that is put before a chunk may stand in the one and not in the other.
BOILERPLATE_MARGIN = 0.2
_EXAMPLES = 3
_SHOWN = 80
_HEADING = re.compile("^#+ *(.+)$", re.MULTILINE)

Parts = Mapping[str, Sequence[Pair]]


def check_leaks(
    split: Split,
    texts: Mapping[str, str],
    *,
    questions: Iterable[str] = (),
    passages: Iterable[str] = (),
) -> None:
    """Make sure that training sees nothing of what dev and test ask for.

    Of what is held out by question only the question must be new, in other words than any of
    training's; its passage is trained on.

    Arguments:
        texts: document id -> text.
        questions: the questions that training is really given.
        passages: the passages that training is really given, positives and negatives alike.
    Raises:
        LeakError: a cluster or a question stands in two parts; documents of two parts are
            near-duplicates; a text of training is a question of dev or test, or comes out of one
            of their documents. It names examples.
    """
    dev = [] if split.dev_is_known else split.dev
    parts = {"train": split.train, "dev": dev, "test": split.test}
    _check_shared(
        parts, lambda pair: split.clusters[pair.document_id], what="documents of one cluster"
    )
    every = {**parts, "dev": split.dev, "known": split.known}
    _check_shared(every, lambda pair: question_key(pair.question), what="one question")
    _check_documents("train", split.train, {"dev": dev, "test": split.test}, texts)
    _check_documents("dev", dev, {"test": split.test}, texts)
    asked, read = set(questions), set(passages)
    _refuse_near_wordings(asked, split)
    held_out = {question_key(pair.question) for pair in split.held_out}
    _refuse_held_out_questions(asked, held_out, where="questions")
    _refuse_held_out_questions(read, held_out, where="passages")
    headings = {question_key(line) for text in texts.values() for line in _HEADING.findall(text)}
    phrases = {text for text in asked if _is_phrase(text) or question_key(text) in headings}
    _refuse_held_out_passages(asked - phrases, split, texts, where="questions")
    _refuse_held_out_passages(read, split, texts, where="passages")
    _refuse_short_passages(read, split, texts)


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


def _refuse_near_wordings(asked: set[str], split: Split) -> None:
    theirs = [pair.question for pair in split.held_out_by_question]
    index = _ShingleIndex(theirs)
    near = {text: index.near(shingles(text)) for text in asked} if theirs else {}
    leaks = [f"{text!r} and {theirs[found[0]]!r}" for text, found in near.items() if found]
    _refuse("nearly the same wording in training and held out", leaks)


def _refuse_held_out_questions(found: set[str], held_out: set[str], *, where: str) -> None:
    known = [text for text in found if not held_out.isdisjoint(_keys(text))]
    _refuse(f"questions of dev or test among the training {where}", map(_shortened, known))


def _keys(text: str) -> set[str]:
    """The keys of a text, and of what follows its first line: a passage may begin with a title."""
    _, _, rest = text.partition("\n")
    return {question_key(text), question_key(rest)} if rest else {question_key(text)}


def _is_phrase(question: str) -> bool:
    """Whether a question has too few words to say where they come from."""
    return len(question.split()) < SHINGLE_WORDS


def _enough(shingles: int, *, where: str) -> float:
    """The share of a training text in a held-out document from which on it comes out of it."""
    return NEARLY_ALL if where == "questions" and shingles < MIN_SHINGLES else NEAR_DUPLICATE


def _refuse_held_out_passages(
    found: set[str], split: Split, texts: Mapping[str, str], *, where: str
) -> None:
    theirs = _ShingleIndex(_held_out_texts(split, texts))
    wanted = {text: shingles(text) for text in found}
    shares = {text: theirs.share(runs) for text, runs in wanted.items()}
    suspects = {
        text: share
        for text, share in shares.items()
        if share >= _enough(len(wanted[text]), where=where)
    }
    if suspects:
        ours = _ShingleIndex(_other_texts(split, texts))
        taken = [
            text
            for text, share in suspects.items()
            if ours.contained(wanted[text]) < share - BOILERPLATE_MARGIN
        ]
        _refuse(f"passages of dev or test among the training {where}", map(_shortened, taken))


def _refuse_short_passages(found: set[str], split: Split, texts: Mapping[str, str]) -> None:
    """Refuse a held-out document of too few words for shingles, with whatever marks or title."""
    short = (
        text for text in _held_out_texts(split, texts) if len(bare_words(text)) < SHINGLE_WORDS
    )
    theirs = set(map(question_key, short))
    suspects = {text: keys for text in found if (keys := theirs & _keys(text))}
    if suspects:
        # "Yes." stands in many documents: it comes from theirs if it stands in no other.
        ours = [question_key(text) for text in _other_texts(split, texts)]
        taken = [
            text
            for text, keys in suspects.items()
            if not any(key in other for key in keys for other in ours)
        ]
        _refuse("passages of dev or test among the training passages", map(_shortened, taken))


def _held_out_texts(split: Split, texts: Mapping[str, str]) -> list[str]:
    """The documents that are held out."""
    return [texts[document_id] for document_id in _documents(split.held_out_by_document)]


def _other_texts(split: Split, texts: Mapping[str, str]) -> list[str]:
    """The documents that are in no cluster with one that is held out."""
    theirs = {split.clusters[name] for name in _documents(split.held_out_by_document)}
    return [text for name, text in texts.items() if split.clusters[name] not in theirs]


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
            "keep documents that repeat each other in one part with --group-by KEY, or take one "
            "side's pairs out"
        )
