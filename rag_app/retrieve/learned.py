"""What a hybrid has learned: the weight of each view of a passage."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_app.index import VectorIndex

VECTOR, KEYWORD, SENTENCE, TOKEN = "vector", "keyword", "sentence", "token"
# Views that find passages; the others score what these found.
FINDERS = (VECTOR, KEYWORD)
VIEWS = (*FINDERS, SENTENCE, TOKEN)


@dataclass(frozen=True)
class LearnedFusion:
    """Weights for `fuse_scores`, one for each view that takes part.

    Fields:
        weights: by view: "vector", "keyword", "sentence", "token".
        learned_on: what the questions were, in words.
        questions: how many there were.
        question_ids: which they were, as `Question.id` has them; None: a version before kept none.
        is_learned: the weights are learned ones; else they are the best of fixed ones.
        reason: a sentence that says what it was held against, and what came of it.
    """

    weights: Mapping[str, float] = field(hash=False)
    learned_on: str
    questions: int
    is_learned: bool = False
    reason: str = ""
    question_ids: tuple[str, ...] | None = None

    def to_json(self) -> str:
        """As an index keeps it."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "LearnedFusion":
        """What `to_json` gave.

        Raises:
            ValueError, TypeError: another version of this program wrote it, or something else.
        """
        values = json.loads(text)
        ids = values.pop("question_ids", None)
        # What a version before kept was learned, and certainly better than fixed weights.
        values.setdefault("is_learned", values.pop("certain", False))
        fusion = cls(**values, question_ids=None if ids is None else tuple(ids))
        if not fusion.weights or not set(fusion.weights) <= set(VIEWS):
            raise ValueError(f"{fusion.weights} are no weights of {', '.join(VIEWS)}")
        return fusion


def kept_fusion(index: "VectorIndex") -> LearnedFusion | None:
    """What was learned for an index; None where nothing was, or by a version with other views."""
    try:
        return None if index.fusion is None else LearnedFusion.from_json(index.fusion)
    except (ValueError, TypeError):
        return None
