"""What the stages after an ingest will take, from a few questions, steps and passages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag_app.chunks import passage_text
from rag_app.duration import in_words
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.rows import DEV_POOL
from rag_app.finetune.options import TrainingRow
from rag_app.finetune.phases import is_trained
from rag_app.finetune.prepare import prepare
from rag_app.finetune.presets import QUICK, as_quick
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.workload import TrainingSizes, TrainingWorkload, training_workload
from rag_app.questions import QuestionsReport, QuestionStore, write_questions
from rag_app.questions.writers import generator_name
from rag_app.text.counts import counted

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import IndexModel, OpenIndex
    from rag_app.tune.request import TuneRequest

# Chunks whose questions are written to see how long that takes; they are kept.
TRIED_CHUNKS = 8


@dataclass(frozen=True)
class Plan:
    """What is still to be done.

    Fields:
        documents, chunks: of the index.
        lacking: chunks without questions, where questions are to be written.
        questions: about how many will be written for them.
        writing_seconds: about; None where that could not be measured.
        trained: the model was trained before, and is taken as it is.
        training: None where it was done before, or could not be measured.
    """

    documents: int
    chunks: int
    lacking: int
    questions: int
    writing_seconds: float | None
    trained: bool
    training: TrainingWorkload | None

    @property
    def seconds(self) -> float:
        """About, of all that was measured; training on all pairs is only done if the model wins."""
        training = self.training
        of_training = training.seconds + training.refit_seconds if training else 0.0
        return (self.writing_seconds or 0.0) + of_training

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        training = self.training
        return {
            "documents": self.documents,
            "chunks": self.chunks,
            "questions": self.questions,
            "pairs": training.sizes.pairs if training else None,
            "writing_seconds": self.writing_seconds,
            "training_seconds": training.seconds if training else None,
            "refit_seconds": training.refit_seconds if training else None,
        }

    def __str__(self) -> str:
        """A sentence for the user."""
        parts = [f"{self.documents} documents in {self.chunks} chunks are indexed"]
        if self.questions:
            time = "" if self.writing_seconds is None else f", {in_words(self.writing_seconds)}"
            parts.append(f"about {self.questions} questions are to be written{time}")
        if self.trained:
            parts.append("the model was trained before")
        elif training := self.training:
            parts.append(
                f"training on about {training.sizes.pairs} pairs for "
                f"{counted(training.epochs, 'epoch')} and scoring, {in_words(training.seconds)}"
            )
            parts.append(
                f"if the tuned model wins, training on all {training.sizes.all_pairs} pairs, "
                f"{in_words(training.refit_seconds)} more"
            )
        total = f": {in_words(self.seconds)} in all on this machine" if self.seconds else ""
        return "; ".join(parts) + total


def plan_ahead(
    context: TrainingContext, request: "TuneRequest", opened: "OpenIndex[IndexModel]"
) -> Plan:
    """Measure a little of what is still to be done with an index.

    Questions that are written for it are kept, as `questions` would have written them.

    Raises:
        PairsError, LeakError, ModelError, LanguageModelError: as the stages, whose input it reads.
    """
    asked = replace(request.finetune, index=opened.index.name)
    nodes = opened.index.passages().nodes
    lacking = 0
    if asked.pairs is None:
        lacking = len(_lacking(context, request, nodes))
    tried, trained, training = None, False, None
    if not lacking:
        trained, training = _as_prepared(context, asked)
    elif not asked.llm.asks_endpoint:
        # An endpoint's price is told before it is asked anything.
        tried = _try_writing(context, request, opened)
        training = _from_tried(context, asked, opened, tried)
        lacking = len(_lacking(context, request, nodes))
    speed = tried.questions_per_second if tried else 0.0
    questions = lacking * request.per_chunk
    return Plan(
        documents=len({node.ref_doc_id for node in nodes}),
        chunks=len(nodes),
        lacking=lacking,
        questions=questions,
        writing_seconds=questions / speed if speed else None,
        trained=trained,
        training=training,
    )


def _lacking(
    context: TrainingContext, request: "TuneRequest", nodes: "Sequence[TextNode]"
) -> list[str]:
    """Chunks that lack questions of the language model that is to write them."""
    store = QuestionStore(context.workspace.storage, generator_name(request.finetune.llm))
    return store.lacking([node.node_id for node in nodes], request.per_chunk)


def _try_writing(
    context: TrainingContext, request: "TuneRequest", opened: "OpenIndex[IndexModel]"
) -> QuestionsReport:
    return write_questions(
        opened,
        storage=context.workspace.storage,
        llm=request.finetune.llm,
        per_chunk=request.per_chunk,
        writing=request.writing,
        limit=TRIED_CHUNKS,
        seed=request.finetune.options.seed,
    )


def _as_prepared(
    context: TrainingContext, request: FinetuneRequest
) -> tuple[bool, TrainingWorkload | None]:
    """Whether the model was trained before, and if not, what its training will take."""
    prepared = prepare(context, request)
    material, base, options = prepared.materials[0], prepared.base.model, request.options
    if request.preset == QUICK:
        options = as_quick(options, material.rows, base)
    if is_trained(context, base, material, options):
        return True, None
    sizes = TrainingSizes(
        pairs=len(material.rows),
        all_pairs=len(material.pairs),
        dev_passages=len(material.dev.passages) if material.dev else 0,
        passages=material.corpus,
        others=len(prepared.canary.nodes) if prepared.canary else 0,
    )
    return False, training_workload(base, material.rows, options, sizes)


def _from_tried(
    context: TrainingContext,
    request: FinetuneRequest,
    opened: "OpenIndex[IndexModel]",
    tried: QuestionsReport,
) -> TrainingWorkload | None:
    """What training will take, if all chunks bring as many pairs as those that were tried."""
    texts = {node.node_id: passage_text(node) for node in tried.nodes}
    rows = [TrainingRow(one.question, texts[one.chunk_id], one.chunk_id) for one in tried.questions]
    pairs = round(tried.kept / max(1, tried.chunks) * len(texts))
    split, options = request.split, request.options
    base = context.workspace.load_model(opened.index.info.base_model)
    if request.preset == QUICK and rows:
        options = as_quick(options, rows * (pairs // len(rows)), base)
    sizes = TrainingSizes(
        pairs=round(pairs * (1 - split.dev_share - split.test_share)),
        all_pairs=pairs,
        dev_passages=min(len(texts), DEV_POOL + round(pairs * split.dev_share)),
        passages=list(texts.values()),
    )
    return training_workload(base, rows, options, sizes)
