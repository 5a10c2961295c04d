"""One split: train on its training part, and score base and tuned on everything else."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rag_app.chunks import chunks_by_document, passage_text
from rag_app.evaluate.canary import canary_outcomes, changes_on
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.evaluate.scoring import Outcome
from rag_app.finetune.back_off import Candidate, back_off
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import Material
from rag_app.finetune.phases import TrainedModel, train_phases
from rag_app.finetune.presets import QUICK, as_quick
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.retrieval import JudgedRetrieval, learn_retrieval, retrieval_outcomes
from rag_app.index import Passages
from rag_app.models import EmbeddingModel
from rag_app.models.plain import PlainEncode
from rag_app.pairs import HeldOut, Question, known_questions
from rag_app.retrieve import RetrievalOptions, Searched
from rag_app.retrieve.known import KnownIndex

if TYPE_CHECKING:
    from rag_app.finetune.prepare import Prepared


# In evaluation both are exact.
VECTOR_SEARCH = ("vector", "exact")
BASE, TUNED = "base", "tuned"


@dataclass(frozen=True)
class BaseAndTuned:
    """Outcomes of the same questions with both models."""

    base: list[Outcome]
    tuned: list[Outcome]


@dataclass(frozen=True)
class Trial:
    """A trained model, and what became of the questions of its split.

    Fields:
        held_out: test questions, by what is new about them: base with vector search, and tuned with
            the retriever that the verdict is about.
        parts: where that is another one than vector search, base and tuned with each, by names
            such as "tuned, vector".
        judged: that retriever.
        training: the training questions, which are no measure of quality.
        canary: out-of-domain questions.
        plain: test questions with plain `encode`, which leaves out prompts and the query
            adapter; None where it gives the same vectors.
        known: questions about known documents, with tuned and its retriever by itself, and behind
            the questions of training as known ones; None where none are asked, or become known.
        frontier: forms of the model that were tried, since what was trained did certain harm on
            out-of-domain questions.
    """

    material: Material
    trained: TrainedModel
    held_out: dict[HeldOut, BaseAndTuned]
    parts: dict[str, list[Outcome]]
    judged: JudgedRetrieval
    training: BaseAndTuned
    canary: BaseAndTuned | None
    plain: list[Outcome] | None
    known: BaseAndTuned | None = None
    frontier: list[Candidate] = field(default_factory=list)


def train_one(
    context: TrainingContext, request: FinetuneRequest, prepared: "Prepared", material: Material
) -> tuple[TrainedModel, list[Candidate]]:
    """Train on one split, and weaken what harms out-of-domain questions."""
    options, base = request.options, prepared.base.model
    if request.preset == QUICK:
        options = as_quick(options, material.rows, base)
    trained, canary = train_phases(context, base, material, options), prepared.canary
    if canary is None or not prepared.canary_guards:
        return trained, []
    changes_of = changes_on(canary, base, cache=context.cache, seed=options.seed)
    return back_off(context, base, trained, material=material, changes_of=changes_of)


def score_trial(
    context: TrainingContext,
    prepared: "Prepared",
    material: Material,
    trained: TrainedModel,
    *,
    retrieval: RetrievalOptions | None = None,
    remembers: bool = False,
) -> Trial:
    """Score the base and the trained model on the same questions over the same passages.

    Arguments:
        retrieval: of the trained model, which the verdict is about; exact vector search unless
            named.
        remembers: in service the questions of training are known ones.
    """
    retrieval = retrieval or RetrievalOptions()
    base, tuned = prepared.base.model, trained.model
    passages = embedded(context, prepared.passages, tuned)
    tests = material.tests
    asks_known = remembers and "questions" in tests
    sides = {
        BASE: (prepared.passages, base, prepared.searched),
        TUNED: (
            passages,
            tuned,
            Searched(
                prepared.base.index,
                tuned,
                passages,
                context.cache,
                known=_of_training(context, material, passages, tuned) if asks_known else None,
            ),
        ),
    }

    def exact(side: str, questions: Sequence[Question]) -> list[Outcome]:
        held, model, _ = sides[side]
        return exact_outcomes(
            held, model, questions, cache=context.cache, progress=context.progress
        )

    def searched(side: str, questions: Sequence[Question], *, known: bool = False) -> list[Outcome]:
        return retrieval_outcomes(context, sides[side][-1], judged.options, questions, known=known)

    seed = trained.options.seed
    judged = learn_retrieval(context, prepared.searched, retrieval, material.train, seed=seed)
    vector_search = retrieval.spec in VECTOR_SEARCH
    after = exact if vector_search else searched
    spec = retrieval.spec
    parts = (
        {}
        if vector_search
        else {
            f"{BASE}, {spec}": searched(BASE, material.test),
            f"{TUNED}, vector": exact(TUNED, material.test),
        }
    )
    held_out = {
        what: BaseAndTuned(exact(BASE, questions), after(TUNED, questions))
        for what, questions in tests.items()
    }
    known = None
    if asks_known:
        with_known = searched(TUNED, tests["questions"], known=True)
        known = BaseAndTuned(held_out["questions"].tuned, with_known)
    return Trial(
        material=material,
        trained=trained,
        held_out=held_out,
        parts=parts,
        judged=judged,
        training=BaseAndTuned(exact(BASE, material.train), exact(TUNED, material.train)),
        canary=on_canary(context, prepared, tuned),
        plain=_plain_outcomes(tuned, passages, material.test),
        known=known,
    )


def _of_training(
    context: TrainingContext, material: Material, passages: Passages, model: EmbeddingModel
) -> KnownIndex:
    """The questions of training as known ones; what is held out is not among them."""
    chunks = chunks_by_document(passages.nodes)
    questions = known_questions(material.split.train)
    return KnownIndex.of_questions(questions, chunks.__getitem__, model, context.cache)


def embedded(context: TrainingContext, passages: Passages, model: EmbeddingModel) -> Passages:
    """The same passages with the vectors of another model."""
    texts = [passage_text(node) for node in passages.nodes]
    vectors = context.cache.embed_passages(model, texts, progress=context.progress)
    return replace(passages, vectors=vectors)


def on_canary(
    context: TrainingContext, prepared: "Prepared", tuned: EmbeddingModel
) -> BaseAndTuned | None:
    """Out-of-domain questions with both models; None without a canary."""
    if prepared.canary is None:
        return None
    before, after = (
        canary_outcomes(prepared.canary, model, cache=context.cache)
        for model in (prepared.base.model, tuned)
    )
    return BaseAndTuned(before, after)


def _plain_outcomes(
    tuned: EmbeddingModel, passages: Passages, questions: Sequence[Question]
) -> list[Outcome] | None:
    plain = PlainEncode(tuned)
    if plain.is_the_same:
        return None
    if tuned.prompts.passage:
        texts = [passage_text(node) for node in passages.nodes]
        passages = Passages(passages.nodes, plain.embed_passages(texts))
    return exact_outcomes(passages, plain, questions)
