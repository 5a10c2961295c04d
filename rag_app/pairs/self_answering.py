"""Questions that repeat the text which answers them."""

from collections.abc import Mapping, Sequence

from rag_app.pairs.pair import Pair
from rag_app.text.asked import question_key


def without_self_answering(pairs: Sequence[Pair], texts: Mapping[str, str]) -> list[Pair]:
    """Leave out pairs whose question is its own answer, but for case, blanks and closing marks.

    They teach nothing, and every model answers them, which makes scores too good.

    Arguments:
        texts: document id -> text.
    """
    keys: dict[tuple[str, int | None, int | None], str] = {}

    def answer(pair: Pair) -> str:
        place = (pair.document_id, pair.start, pair.end)
        if place not in keys:
            keys[place] = question_key(texts.get(pair.document_id, "")[pair.start : pair.end])
        return keys[place]

    return [pair for pair in pairs if question_key(pair.question) != answer(pair)]
