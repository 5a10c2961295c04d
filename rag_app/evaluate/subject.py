"""What is evaluated: indexes, and models over the chunks of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from rag_app.chunks import passage_text
from rag_app.errors import ConfigError
from rag_app.evaluate.request import EvaluateRequest
from rag_app.evaluate.scoring import KEPT_RANKS
from rag_app.index import IndexModel, Passages, VectorCache, VectorIndex, Workspace
from rag_app.pairs import Question, open_dataset, question_key, training_documents, tuned_from
from rag_app.progress import Progress
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.retrieve.trace import TracedRetriever

# The retriever that searches as the REPL does.
APPROXIMATE = "vector"


@dataclass(frozen=True)
class Subject:
    """What is evaluated: passages with their vectors, the model, and the index they came from.

    Fields:
        cache: keeps the questions' vectors, so that they are embedded once per model.
        verbatim: known questions may be asked as they stand; else each is held out while it is
            asked.
    """

    name: str
    index: VectorIndex
    model: IndexModel
    passages: Passages
    cache: VectorCache
    verbatim: bool = False

    @property
    def tuned(self) -> bool:
        """Whether the model was trained by `finetune`."""
        own = self.index.info
        return (self.model.name == own.model != own.base_model) or bool(
            training_documents(self.model)
        )

    def retriever(
        self, options: RetrievalOptions, tools: Tools, *, top_k: int = KEPT_RANKS
    ) -> TracedRetriever:
        """The retriever of these options; search is exact, save for "vector" itself."""
        approximate = options.retriever == APPROXIMATE
        searched = self._live if approximate else self._in_memory
        return build_retriever(searched, options, top_k=top_k, tools=tools)

    def known_among(self, questions: Sequence[Question], tools: Tools) -> int:
        """How many of these are known questions of the index."""
        known = self._in_memory.questions(tools.storage)
        keys = {question_key(one.text) for one in known.questions}
        return sum(question_key(question.text) in keys for question in questions)

    @property
    def _live(self) -> Searched:
        return Searched(self.index, self.model, held_out=not self.verbatim)

    @cached_property
    def _in_memory(self) -> Searched:
        """Kept, so that its keyword index is made once."""
        held_out = not self.verbatim
        return Searched(self.index, self.model, self.passages, self.cache, held_out=held_out)


def retrievals_of(request: EvaluateRequest) -> list[RetrievalOptions]:
    """The retrievers of a request.

    Raises:
        ConfigError: an unknown one, or the index's own search of a model without an index.
    """
    options = [request.retrieval.with_spec(spec) for spec in request.retrievers]
    if request.models and any(each.retriever == APPROXIMATE for each in options):
        raise ConfigError(
            "--retriever vector asks an index, and --model has none; "
            "use --index NAME, or --retriever exact"
        )
    return options


def open_subjects(
    workspace: Workspace,
    request: EvaluateRequest,
    progress: Progress,
    tell: Callable[[str], None],
) -> list[Subject]:
    """Every index that is named, and every model over the chunks of the one in service.

    Or, where the questions bring their own passages, models over those; see `evaluate_indexes`.
    """
    return _dataset_subjects(workspace, request, progress, tell) or _named_subjects(
        workspace, request, progress
    )


def _named_subjects(
    workspace: Workspace, request: EvaluateRequest, progress: Progress
) -> list[Subject]:
    subjects = []
    cache = workspace.cache
    names: list[str | None] = [*request.indexes] or ([] if request.models else [None])
    for name in names:
        opened = workspace.open(name)
        index, model = opened.index, opened.model
        subjects.append(Subject(index.name, index, model, index.passages(), cache))
    if request.models:
        index = workspace.catalog.open()
        subjects += over_chunks(workspace, index, request.models, progress)
    return subjects


def over_chunks(
    workspace: Workspace, index: VectorIndex, models: Sequence[str], progress: Progress
) -> list[Subject]:
    """Models over the chunks of one index."""
    subjects = []
    cache, nodes = workspace.cache, index.ordered_nodes()
    texts = [passage_text(node) for node in nodes]
    for name in models:
        model = workspace.index_model(name)
        vectors = cache.embed_passages(model, texts, progress=progress)
        short = model.name.rstrip("/").rsplit("/", 1)[-1]
        subjects.append(Subject(short, index, model, Passages(nodes, vectors), cache))
    return subjects


def _dataset_subjects(
    workspace: Workspace,
    request: EvaluateRequest,
    progress: Progress,
    tell: Callable[[str], None],
) -> list[Subject]:
    """The base and the tuned model, or those named, over the passages that the questions bring.

    None, where an index was named, or the questions bring no passages that are not in service.
    """
    if request.indexes:
        return []
    dataset = open_dataset(
        workspace,
        request.questions,
        model=request.models[0] if request.models else None,
        usual_model=request.usual_model,
        whichever_model=True,
        progress=progress,
        tell=tell,
    )
    if dataset is None:
        return []
    base = dataset.index.info.base_model
    models = request.models or [*filter(None, (base, tuned_from(workspace, base)))]
    approximate = any(options.retriever == APPROXIMATE for options in retrievals_of(request))
    if approximate and len(models) > 1:
        raise ConfigError(
            f"--retriever vector asks an index, and that of {request.questions.name} is of "
            f"{dataset.model.name} alone; use --index {dataset.index.name}, or --retriever exact"
        )
    return over_chunks(workspace, dataset.index, models, progress)
