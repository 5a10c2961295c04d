"""The weights of a hybrid's views, learned from questions whose answers are known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from rag_app.evaluate.figures import change_with_interval
from rag_app.evaluate.ranks import reciprocal_rank
from rag_app.evaluate.scoring import LARGEST_K, Outcome, score_rankings
from rag_app.evaluate.statistics import Difference, difference
from rag_app.evaluate.verdict import PRIMARY_METRIC, certainly_lower
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, rank_views
from rag_app.retrieve.fusion import standardised
from rag_app.retrieve.learned import FINDERS, VECTOR, LearnedFusion
from rag_app.retrieve.options import EQUAL

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore

    from rag_app.pairs import Question
    from rag_app.retrieve.trace import Ranking

Floats = npt.NDArray[np.float64]
Name = TypeVar("Name", str, float)
Weights = TypeVar("Weights")
Views = Mapping[str, Sequence["Ranking"]]

# On fewer questions than these nothing is learned.
FEWEST_QUESTIONS = 40
FOLDS = 5
# Of the vector search in a hybrid. Of equal ones the first wins: near .7, which did well on all
# corpora that we tried.
FIXED_WEIGHTS = (0.7, 0.6, 0.8, 0.5, 0.9, 0.4, 0.3, 1.0, 0.2, 0.1, 0.0)


@dataclass(frozen=True, eq=False)
class Asked:
    """A question and its candidates.

    Fields:
        hits: (n_candidates,), what some view found.
        scores: (n_candidates, n_views), standardised.
        right: (n_candidates,), whether a candidate answers it.
    """

    question: "Question"
    hits: "Sequence[NodeWithScore]"
    scores: Floats
    right: npt.NDArray[np.bool_]

    def order(self, weights: Floats) -> list[int]:
        """Places of the best candidates by the weighted sum of scores."""
        best = np.argsort(-self.scores @ weights, kind="stable")[:LARGEST_K]
        return [int(place) for place in best]


def learn_weights(
    searched: Searched,
    options: RetrievalOptions,
    questions: "Sequence[Question]",
    tools: Tools,
    *,
    learned_on: str,
    seed: int,
) -> tuple[RetrievalOptions, str]:
    """The options with learned weights, or with fixed ones where these are certainly better.

    Arguments:
        questions: none that a verdict rests on.
        learned_on: what they are, in words.
    Returns:
        the options, and a sentence that says what came of it.
    """
    traces = [Trace(question.text) for question in questions]
    views = rank_views(searched, options, traces, tools=tools)
    learned = learn_fusion(
        views, questions, depth=options.fetch_k, learned_on=learned_on, seed=seed
    )
    if learned.is_learned:
        return replace(options, learned=learned), learned.reason
    if set(learned.weights) <= set(FINDERS):
        weight = learned.weights.get(VECTOR, 0.0)
        return replace(options, fusion="scores", hybrid_weight=weight), learned.reason
    return replace(options, fusion=EQUAL), learned.reason


def learn_fusion(
    views: Views, questions: "Sequence[Question]", *, depth: int, learned_on: str, seed: int
) -> LearnedFusion:
    """Learn the weights of the views, or fall back to a hybrid of fixed ones.

    The weights are those of a pairwise logistic regression (RankNet's loss for a linear model:
    Burges et al., ICML 2005) over standardised scores: right candidates minus wrong ones, each
    question counting as one. They are taken unless the best of `fixed_hybrids`, which may be one
    search alone, is certainly better: on the same questions, each asked with what was learned, and
    chosen, on the other folds of whole clusters. To take them only where they are certainly better
    themselves cost more than it saved (docs/measured.md).

    Arguments:
        views: view -> its ranking of each question, as `rank_views` gives them. "vector" and
            "keyword" are among them, with `depth` candidates each; any others rank what these two
            found.
        questions: none that the verdict rests on.
        learned_on: what the questions are, in words.
    """
    names = ordered(views)
    ids = tuple(sorted(question.id for question in questions))
    asked = asked_of(views, questions, depth)
    if few := _too_little(questions, asked):
        reason = f"{few}: nothing was learned, and hybrid:{EQUAL} is used"
        fixed = _named(names, fixed_hybrids(len(names))[EQUAL])
        return LearnedFusion(fixed, learned_on, len(questions), reason=reason, question_ids=ids)
    weights, change = learned_or_fixed(asked, seed=seed)
    return LearnedFusion(
        _named(names, weights),
        learned_on,
        len(questions),
        is_learned=not certainly_lower(change),
        reason=_reason(change, f"hybrid:{_best_fixed(asked)}"),
        question_ids=ids,
    )


def learned_or_fixed(asked: Sequence[Asked], *, seed: int) -> tuple[Floats, Difference]:
    """The learned weights, unless fixed ones are certainly better.

    Returns:
        weights, (n_views,), and what the learned ones change.
    """
    simple, learned = cross_validated(asked, best_fixed), cross_validated(asked, regression)
    change = difference(simple, learned, PRIMARY_METRIC, seed=seed)
    return (best_fixed if certainly_lower(change) else regression)(asked), change


def ordered(views: Iterable[str]) -> list[str]:
    """The names of views in the order of their columns: those that find passages first."""
    return [*FINDERS, *(view for view in views if view not in FINDERS)]


def _too_little(questions: "Sequence[Question]", asked: Sequence[Asked]) -> str:
    """What there is too little of to learn from; empty where there is enough."""
    clusters = len({question.cluster for question in questions})
    if len(questions) < FEWEST_QUESTIONS:
        return f"{len(questions)} questions are fewer than {FEWEST_QUESTIONS}"
    if clusters < FOLDS:
        return f"all {len(questions)} questions are about {clusters} documents, of {FOLDS} needed"
    if not any(map(_tells, asked)):
        return "no question has a right and a wrong passage among its candidates"
    return ""


def asked_of(views: Views, questions: "Sequence[Question]", depth: int) -> list[Asked]:
    """The questions with the scores of their candidates; a column for each of `ordered(views)`."""
    rankings = [views[name] for name in ordered(views)]
    asked = []
    for question, of_views in zip(questions, zip(*rankings, strict=True), strict=True):
        hits = {hit.node.node_id: hit for ranking in of_views for hit in ranking}
        answers = frozenset().union(*question.gold)
        right = np.array([chunk_id in answers for chunk_id in hits], dtype=bool)
        scores = standardised(of_views, list(hits), depth)
        asked.append(Asked(question, list(hits.values()), scores, right))
    return asked


def cross_validated(
    asked: Sequence[Asked], weigh: Callable[[Sequence[Asked]], Floats]
) -> list[Outcome]:
    """What becomes of each question with the weights that the other folds give."""
    from sklearn.model_selection import GroupKFold

    clusters = [one.question.cluster for one in asked]
    rankings: list[Ranking] = [[] for _ in asked]
    for others, fold in GroupKFold(FOLDS).split(asked, groups=clusters):
        weights = weigh([asked[row] for row in others])
        for row in fold:
            rankings[row] = [asked[row].hits[place] for place in asked[row].order(weights)]
    return score_rankings([one.question for one in asked], rankings)


def best_fixed(asked: Sequence[Asked]) -> Floats:
    """The weights of the fixed hybrid with the best MRR@10."""
    return fixed_hybrids(asked[0].scores.shape[1])[_best_fixed(asked)]


def _best_fixed(asked: Sequence[Asked]) -> str:
    fixed = fixed_hybrids(asked[0].scores.shape[1])
    return best_of(fixed, lambda weights: [one.right[one.order(weights)] for one in asked])


def best_of(
    weights: Mapping[Name, Weights], right: Callable[[Weights], Iterable[Iterable[bool]]]
) -> Name:
    """The name of the weights with the best MRR@10; of equal ones the first.

    Arguments:
        right: weights -> of each question, whether each of its ten best candidates answers it.
    """

    def mrr(name: Name) -> float:
        return sum(reciprocal_rank(each, (True,)) for each in right(weights[name]))

    return max(weights, key=mrr)


def fixed_hybrids(n_views: int) -> dict[str, Floats]:
    """Weights that no question teaches, (n_views,), by what stands after `hybrid:`."""
    scorers = [0.0] * (n_views - len(FINDERS))
    of_finders = {f"{w:g}": np.array([w, 1 - w, *scorers]) for w in FIXED_WEIGHTS}
    return {**of_finders, EQUAL: np.full(n_views, 1 / n_views)}


def regression(asked: Sequence[Asked]) -> Floats:
    """The weights that put right candidates before wrong ones, (n_views,), none below 0, of sum 1.

    Views that a regression weighs negatively are left out and the others fitted again, since each
    view is made to score right passages higher (non-negative stacking: Breiman, Machine Learning
    24, 1996).
    """
    told = list(filter(_tells, asked))
    n_views = asked[0].scores.shape[1]
    if not told:
        return fixed_hybrids(n_views)[EQUAL]
    pairs = [_right_minus_wrong(one) for one in told]
    # Each pair both ways round, since a classifier wants two classes.
    rows = np.concatenate([*pairs, *(-some for some in pairs)])
    counts = np.concatenate([np.full(len(some), 1 / len(some)) for some in pairs])
    views = np.arange(n_views)
    while len(views):
        found = _coefficients(rows[:, views], np.tile(counts, 2))
        if found.min() >= 0:
            break
        views = views[found > found.min()]
    weights: Floats = np.zeros(n_views)
    if len(views) and found.any():
        weights[views] = found / found.sum()
        return weights
    return fixed_hybrids(n_views)[EQUAL]


def _coefficients(rows: Floats, counts: Floats) -> Floats:
    """Of a logistic regression whose first half of rows is one class, (n_columns,)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(fit_intercept=False)
    model.fit(rows, np.repeat([1, 0], len(rows) // 2), sample_weight=counts)
    coefficients: Floats = model.coef_[0]
    return coefficients


def _tells(one: Asked) -> bool:
    """Whether there is something to tell apart among the candidates."""
    return bool(one.right.any() and not one.right.all())


def _right_minus_wrong(one: Asked) -> Floats:
    """Scores of each right candidate minus those of each wrong one, (n_pairs, n_views)."""
    right, wrong = one.scores[one.right], one.scores[~one.right]
    return (right[:, np.newaxis] - wrong).reshape(-1, one.scores.shape[1])


def _named(names: Sequence[str], weights: Floats) -> dict[str, float]:
    """Weights by view; one without weight does not take part."""
    return {name: round(float(w), 4) for name, w in zip(names, weights, strict=True) if w}


def _reason(change: Difference, simple: str) -> str:
    found = f"{PRIMARY_METRIC} {change_with_interval(change)}"
    how = "each question asked with what was learned on others"
    if certainly_lower(change):
        return f"certainly worse than {simple}, which is used: {found}, {how}"
    return f"{found} over {simple}, {how}"
