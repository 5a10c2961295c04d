"""Test questions of a file of their own: what is trained on is arranged around them."""

from collections.abc import Sequence

from rag_app.errors import PairsError
from rag_app.pairs.held_out import SplitInput, SplitOptions, by_wording, hold_back
from rag_app.pairs.pair import Pair
from rag_app.pairs.split import (
    MIN_PAIRS,
    Split,
    by_question,
    deal_documents,
    joined_documents,
    require_enough,
)


def split_around(
    given: SplitInput, test: Sequence[Pair], options: SplitOptions, *, seed: int
) -> Split:
    """Train and dev of the pairs, test and known of the test questions.

    Pairs that ask what a test question asks, or nearly so, are left out. A test question is about
    a new document if no document of its cluster is trained on or chooses the checkpoint; else it
    is a new question about a known one. Dev is dealt by document among those that no test question
    is about, and by question where these are too few.

    Raises:
        PairsError: too few pairs, or a document without a text.
    """
    fresh = _not_asked(given.pairs, test)
    repeated = len(given.pairs) - len(fresh)
    if repeated and len(fresh) < MIN_PAIRS:
        raise PairsError(
            f"{repeated} of {len(given.pairs)} pairs ask what a question of the test file asks, "
            f"and the {len(fresh)} others are too few to train on; name a test file of other "
            "questions, or none: then a share of the pairs is held out"
        )
    require_enough(fresh, given.texts)
    clusters = joined_documents([*fresh, *test], given.texts, given.group_of)
    asked = {clusters[pair.document_id] for pair in test}
    free = [pair for pair in fresh if clusters[pair.document_id] not in asked]
    wanted = options.dev_share * len(fresh)
    by_document = len(free) >= 2 * wanted and len({clusters[p.document_id] for p in free}) > 1
    if not wanted:
        train, dev = by_question(fresh), []
    elif by_document:
        shares = {"train": 1 - wanted / len(free), "dev": wanted / len(free)}
        dev = deal_documents(free, clusters, shares, seed=seed)["dev"]
        chosen = {pair.id for pair in dev}
        train = by_question(pair for pair in fresh if pair.id not in chosen)
    else:
        train, dev = hold_back(fresh, given.passage_of, round(wanted), seed=seed)
    trained = {clusters[pair.document_id] for pair in train}
    return Split(
        train,
        dev,
        by_question(pair for pair in test if clusters[pair.document_id] not in trained),
        clusters,
        known=by_question(pair for pair in test if clusters[pair.document_id] in trained),
        dev_is_known=bool(dev) and not by_document,
        test_is_given=True,
        repeat_test=repeated,
    )


def _not_asked(pairs: Sequence[Pair], test: Sequence[Pair]) -> list[Pair]:
    """Pairs whose wording no test question has."""
    taken = {pair.id for pair in test}
    wordings = by_wording([*test, *(pair for pair in pairs if pair.id not in taken)])
    tested = [same for same in wordings.values() if any(pair.id in taken for pair in same)]
    asked = {pair.id for same in tested for pair in same}
    return [pair for pair in pairs if pair.id not in asked]
