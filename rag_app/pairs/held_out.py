"""What is new about a held-out question: its document, or only its wording; one split or folds.

A split by document tells how new questions about new documents fare. Who owns a fixed collection
mostly gets new questions about known documents: the passages stay, the wording changes. These are
held out question by question, while other questions of the same passage are trained on.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rag_app.errors import ConfigError, PairsError, refuse_unknown
from rag_app.pairs.pair import Pair
from rag_app.pairs.split import (
    Split,
    by_question,
    deal_documents,
    joined_documents,
    require_enough,
    split_pairs,
)
from rag_app.text.asked import question_key
from rag_app.text.counts import counted
from rag_app.text.near_duplicates import cluster_documents

HeldOut = Literal["documents", "questions"]
# What `--held-out` takes. "auto" is "both" where enough passages have several questions.
HeldOutOption = Literal["auto", "documents", "questions", "both"]
AUTO: HeldOutOption = "auto"
HELD_OUT: tuple[HeldOutOption, ...] = (AUTO, "documents", "questions", "both")
# Fewer held-out questions say nothing.
FEWEST_KNOWN = 20
FEWEST_FOLDS = 2


@dataclass(frozen=True)
class SplitOptions:
    """How pairs are split.

    Fields:
        dev_share, test_share: of the pairs. With "both", half of `test_share` is held out by
            question besides what is held out by document.
        group_by: metadata key whose documents belong together.
        held_out: what is new about a test question; "auto" is "both" where enough passages have
            several questions, else "documents".
        folds: every question is held out once, in one of so many splits; None for one split.
        repeats: so often, each time with other folds.
    """

    dev_share: float = 0.1
    test_share: float = 0.3
    group_by: str | None = None
    held_out: HeldOutOption = AUTO
    folds: int | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        """Refuse what no split can be asked for.

        Raises:
            ConfigError: a share, folds, repeats or a name that cannot be.
        """
        refuse_unknown("--held-out", self.held_out, HELD_OUT)
        if not 0 <= self.dev_share < 1:
            raise ConfigError(
                f"--dev-share is {self.dev_share:g}; it takes a number from 0 to below 1"
            )
        if self.folds is None and self.repeats != 1:
            raise ConfigError("--repeats repeats folds; name their number with --folds")
        if self.folds is not None and (self.folds < FEWEST_FOLDS or self.repeats < 1):
            raise ConfigError(
                f"--folds is {self.folds} and --repeats {self.repeats}; folds are {FEWEST_FOLDS} "
                "or more, repeats 1 or more"
            )


@dataclass(frozen=True)
class SplitInput:
    """What is split.

    Fields:
        texts: document id -> text, for every document of the index.
        passage_of: pair -> the text of the passage that answers it.
        group_of: document id -> what it is a part of, where documents of a group belong together.
    """

    pairs: Sequence[Pair]
    texts: Mapping[str, str]
    passage_of: Callable[[Pair], str]
    group_of: Callable[[str], str] | None = None


def split_as_asked(given: SplitInput, options: SplitOptions, *, seed: int) -> list[Split]:
    """One split, or one for each fold; what is trained on in each is in no held-out part of it.

    Raises:
        PairsError: too few pairs or documents, or no passage with several questions.
        ConfigError: the shares leave nothing to train on.
    """
    if options.folds is None:
        return [_one_split(given, options, seed)]
    require_enough(given.pairs, given.texts)
    return [
        split
        for repeat in range(options.repeats)
        for split in _folds(given, options, options.folds, seed=seed + repeat)
    ]


def _one_split(given: SplitInput, options: SplitOptions, seed: int) -> Split:
    if options.held_out == "questions":
        return _split_by_question(given, options, seed)
    split = split_pairs(
        given.pairs,
        given.texts,
        seed=seed,
        dev_share=options.dev_share,
        test_share=options.test_share,
        group_of=given.group_of,
    )
    if options.held_out == "documents":
        return split
    wanted = round(options.test_share / 2 * len(given.pairs))
    train, known = hold_back(split.train, given.passage_of, wanted, seed=seed)
    if options.held_out == AUTO and len(known) < FEWEST_KNOWN:
        return split
    _require_known(known, given)
    return replace(split, train=train, known=known)


def _split_by_question(given: SplitInput, options: SplitOptions, seed: int) -> Split:
    require_enough(given.pairs, given.texts)
    count = len(given.pairs)
    rest, known = hold_back(
        given.pairs, given.passage_of, round(options.test_share * count), seed=seed
    )
    _require_known(known, given)
    train, dev = hold_back(rest, given.passage_of, round(options.dev_share * count), seed=seed)
    clusters = joined_documents(given.pairs, given.texts, given.group_of)
    return Split(train, dev, [], clusters, known=known, dev_is_known=True)


def _require_known(known: Sequence[Pair], given: SplitInput) -> None:
    """Raise PairsError where nothing was held out, or ranking it tells nothing."""
    if not known:
        raise PairsError(
            f"none of the {len(given.pairs)} pairs shares its passage with another one, so that "
            "no question can be held out while its passage is trained on; use --held-out "
            "documents, or label several questions to a passage"
        )
    if len({given.passage_of(pair) for pair in given.pairs}) == 1:
        raise PairsError(
            f"all {len(given.pairs)} questions are about one passage; label questions to others "
            "as well"
        )


def hold_back(
    pairs: Sequence[Pair], passage_of: Callable[[Pair], str], wanted: int, *, seed: int
) -> tuple[list[Pair], list[Pair]]:
    """Pairs to keep, and about `wanted` to hold back, whose passages all keep another wording."""
    wordings = by_wording(pairs)
    left = _wordings_of_passages(wordings, passage_of)
    held: list[Pair] = []
    for name in _shuffled(wordings, seed):
        same = wordings[name]
        passages = _passages(same, passage_of)
        if len(held) >= wanted or min(left[passage] for passage in passages) < 2:
            continue
        held += same
        for passage in passages:
            left[passage] -= 1
    ids = {pair.id for pair in held}
    return by_question(pair for pair in pairs if pair.id not in ids), by_question(held)


def _folds(given: SplitInput, options: SplitOptions, folds: int, *, seed: int) -> list[Split]:
    """Splits in each of which another part of the questions is held out."""
    names = [str(number) for number in range(folds)]
    clusters = joined_documents(given.pairs, given.texts, given.group_of)
    nothing: dict[str, list[Pair]] = {name: [] for name in names}
    by_document, by_question_alone = nothing, nothing
    if options.held_out != "questions":
        by_document = _deal_clusters(given, clusters, names, seed=seed)
    if options.held_out != "documents":
        dealt = _deal_wordings(given, by_document, seed=seed)
        known = [pair for pairs in dealt.values() for pair in pairs]
        if options.held_out != AUTO or len(known) >= FEWEST_KNOWN:
            _require_known(known, given)
            by_question_alone = dealt
    splits = [
        _fold(given, options, clusters, (by_document[name], by_question_alone[name]), seed=seed)
        for name in names
    ]
    # Some passages may have fallen to dev with all of their questions.
    if options.held_out == AUTO and 0 < sum(len(one.known) for one in splits) < FEWEST_KNOWN:
        return _folds(given, replace(options, held_out="documents"), folds, seed=seed)
    return splits


def _deal_clusters(
    given: SplitInput, clusters: Mapping[str, str], names: Sequence[str], *, seed: int
) -> dict[str, list[Pair]]:
    """Fold -> pairs that are held out there by document."""
    count = len({clusters[pair.document_id] for pair in given.pairs})
    if count < len(names):
        raise PairsError(
            f"the pairs are about {count} documents or groups of near-duplicates, too few for "
            f"{len(names)} folds; use --folds {count}, or label questions to other documents"
        )
    return deal_documents(given.pairs, clusters, dict.fromkeys(names, 1 / len(names)), seed=seed)


def _fold(
    given: SplitInput,
    options: SplitOptions,
    clusters: dict[str, str],
    held_out: tuple[Sequence[Pair], Sequence[Pair]],
    *,
    seed: int,
) -> Split:
    """One fold.

    Arguments:
        held_out: by document, and by question; the others are train and dev.
    """
    test, known = held_out
    held = {pair.id for pair in (*test, *known)}
    rest = [pair for pair in given.pairs if pair.id not in held]
    wanted = options.dev_share * len(given.pairs)
    dev_is_known = options.held_out == "questions"
    if dev_is_known:
        train, dev = hold_back(rest, given.passage_of, round(wanted), seed=seed)
    else:
        _require_dev_documents(rest, clusters, options)
        share = wanted / max(len(rest), 1)
        parts = deal_documents(rest, clusters, {"train": 1 - share, "dev": share}, seed=seed)
        train, dev = parts["train"], parts["dev"]
    # A passage that fell to dev has no question in training: its known ones promise nothing.
    trained = {given.passage_of(pair) for pair in train}
    kept = [pair for pair in known if given.passage_of(pair) in trained]
    return Split(train, dev, list(test), clusters, known=kept, dev_is_known=dev_is_known)


def _require_dev_documents(
    rest: Sequence[Pair], clusters: Mapping[str, str], options: SplitOptions
) -> None:
    """Raise PairsError where what a fold does not hold out cannot be both train and dev."""
    count = len({clusters[pair.document_id] for pair in rest})
    if options.dev_share and count < 2:
        raise PairsError(
            f"one of the {options.folds} folds leaves pairs about {counted(count, 'document')} or "
            "group of near-duplicates, and training and dev need one each; label questions to "
            "other documents, hold out questions alone with --held-out questions, or use "
            "--dev-share 0"
        )


def _deal_wordings(
    given: SplitInput, by_document: Mapping[str, Sequence[Pair]], *, seed: int
) -> dict[str, list[Pair]]:
    """Fold -> pairs that are held out there by question; the wordings of a passage take turns.

    None is held out in the fold that holds out its document, nor where that would leave its passage
    fewer than about half of its questions.
    """
    names = list(by_document)
    wordings = by_wording(given.pairs)
    document_fold = {pair.id: name for name, pairs in by_document.items() for pair in pairs}
    turn: dict[str, int] = {}
    count = _wordings_of_passages(wordings, given.passage_of)
    held: Counter[tuple[str, str]] = Counter()
    dealt: dict[str, list[Pair]] = {name: [] for name in names}
    for name in _shuffled(wordings, seed):
        same = wordings[name]
        passages = _passages(same, given.passage_of)
        free = [name for name in names if name not in {document_fold.get(p.id) for p in same}]
        if not free:
            continue
        # By turns from passage to passage, and from wording to wording of one.
        place = sum(turn.setdefault(passage, len(turn)) for passage in passages)
        fold = free[place % len(free)]
        if any(
            held[passage, fold] >= _most_held(count[passage], len(names)) for passage in passages
        ):
            continue
        dealt[fold] += same
        for passage in passages:
            turn[passage] += 1
            held[passage, fold] += 1
    return {name: by_question(pairs) for name, pairs in dealt.items()}


def _most_held(wordings: int, folds: int) -> int:
    """How many of a passage's wordings one fold may hold out: half, or more if folds are few."""
    return max(wordings // 2, math.ceil(wordings / folds)) if wordings > 1 else 0


def by_wording(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Pairs whose questions are the same or nearly so, by a hash of these."""
    pairs = list(pairs)
    first: dict[str, str] = {}
    links = [(first.setdefault(question_key(pair.question), pair.id), pair.id) for pair in pairs]
    clusters = cluster_documents({pair.id: pair.question for pair in pairs}, links)
    wordings: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        wordings[clusters[pair.id]].append(pair)
    return wordings


def _wordings_of_passages(
    wordings: Mapping[str, Sequence[Pair]], passage_of: Callable[[Pair], str]
) -> Counter[str]:
    """In how many wordings each passage is asked for."""
    return Counter(passage for same in wordings.values() for passage in _passages(same, passage_of))


def _passages(pairs: Iterable[Pair], passage_of: Callable[[Pair], str]) -> list[str]:
    return list(dict.fromkeys(map(passage_of, pairs)))


def _shuffled(names: Iterable[str], seed: int) -> list[str]:
    def key(name: str) -> bytes:
        return hashlib.sha256(f"{seed}\0{name}".encode()).digest()

    return sorted(names, key=key)
