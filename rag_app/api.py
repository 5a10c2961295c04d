"""The stages with plain arguments, for programs and notebooks; `from rag_app import ...`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from rag_app.environment import prepare_environment
from rag_app.errors import ConfigError, refuse_unknown

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.finetune.options import TrainingOptions, TrainOn
    from rag_app.finetune.result import FinetuneResult
    from rag_app.index import ChromaServer, Workspace
    from rag_app.ingest.report import IngestReport
    from rag_app.llm.chat import ChatModel
    from rag_app.llm.choose import Kind, LanguageModelOptions
    from rag_app.pairs import HeldOutOption, Questions
    from rag_app.progress import Progress
    from rag_app.query.opened import Index
    from rag_app.questions import QuestionsReport, WritingOptions
    from rag_app.sweep.result import SweepResult
    from rag_app.vectors import Embedder

DEFAULT_STORAGE = "storage"


class Place(TypedDict, total=False):
    """Where indexes are and models run.

    Fields:
        chroma_url: a Chroma server that has the indexes: its address, or a `ChromaServer`.
        project: whose indexes on that server; those of the storage's own project unless named.
        offline: never ask the Hugging Face hub for weights; True unless named.
        device: "auto", "cpu", "cuda" or "mps".
    """

    chroma_url: "str | ChromaServer | None"
    project: str | None
    offline: bool
    device: str


class LanguageModelFields(TypedDict, total=False):
    """Fields of `rag_app.llm.choose.LanguageModelOptions`, which says what they are."""

    kind: "Kind"
    base_url: str | None
    model: str | None
    api_key: str
    timeout_seconds: float
    retries: int
    concurrency: int
    models: Path
    gpu: bool


def ingest(
    documents: "str | Path | Document | Iterable[str | Path] | Iterable[Document]",
    *,
    storage: str | Path = DEFAULT_STORAGE,
    index: str | None = None,
    model: str | None = None,
    embedder: "Embedder | None" = None,
    chunk_size: int | None = None,
    chunk_overlap: int | None = None,
    sentences: str | None = None,
    ocr: str | None = None,
    metadata: Mapping[str, object] | None = None,
    dedupe: bool = False,
    use: bool = False,
    progress: "Progress | None" = None,
    **place: Unpack[Place],
) -> "IngestReport":
    """Bring an index in line with documents: only what was added or changed is embedded.

    Arguments:
        documents: files and folders, or LlamaIndex documents. A folder's documents that are gone
            are removed from the index; documents that are handed over only add and change.
        storage: folder of indexes, models and cached vectors.
        index: its name; the one in service, or one that the arguments describe, unless named.
        model: a sentence-transformers model, by name or folder; NAME-256d is cut to its first 256
            dimensions, NAME-static distilled.
        embedder: a model of your own instead.
        chunk_size, chunk_overlap: tokens, as the model reads them (256 and 32 unless named).
        sentences: "rules" or "kiwi" (Korean by morphology).
        ocr: languages in which the program tesseract reads pages of PDFs without text: "kor+eng";
            None: they are not read.
        metadata: that each document gets where it has no such field itself: {"company": "Acme"};
            files that were read with other metadata count as changed.
        dedupe: leave out documents that say nearly what an earlier one says.
        use: put the index into service; the first index goes into service in any case.
        progress: called with (step, done, total, note).
        place: see `Place`.
    Raises:
        DocumentError: a path is missing, or nothing could be read.
        ConfigError: paths and documents together, something else, or a value out of range.
        ModelError, IndexMismatch, IndexLocked, IndexBroken: as their names say.

    >>> from llama_index.core.schema import Document
    >>> faq = [Document(id_="hours", text="We are open from nine to six.")]
    >>> report = ingest(faq, storage=storage)
    >>> report.sync.added, report.chunks
    (['hours'], 1)
    """
    from rag_app.documents.given import given_documents, paths_and_documents
    from rag_app.documents.named import named_metadata
    from rag_app.ingest.request import IndexOptions, IngestRequest
    from rag_app.ingest.stage import ingest as ingest_paths
    from rag_app.ingest.stage import ingest_reading
    from rag_app.progress import silent

    paths, handed_over = paths_and_documents(documents)
    if handed_over and ocr:
        raise ConfigError(
            f"ocr is {ocr!r}, but documents that are handed over have their text already; name the "
            "files themselves, or leave ocr out"
        )
    if model and embedder and model != embedder.name:
        raise ConfigError(
            f"model is {model!r}, but the embedder is {embedder.name!r}; name one of them"
        )
    workspace = _workspace(storage, embedder=embedder, **place)
    named = model or (embedder.name if embedder else None)
    request = IngestRequest(
        paths,
        index=index,
        options=IndexOptions(named, chunk_size, chunk_overlap, sentences),
        ocr=ocr,
        metadata=named_metadata((metadata or {}).items()),
        use=use,
        dedupe=dedupe,
    )
    told = progress or silent
    if handed_over:
        return ingest_reading(workspace, given_documents(handed_over), request, progress=told)
    return ingest_paths(workspace, request, progress=told)


def open_index(
    name: str | None = None,
    *,
    storage: str | Path = DEFAULT_STORAGE,
    embedder: "Embedder | None" = None,
    **place: Unpack[Place],
) -> "Index":
    """Open an index, or the one in service.

    Arguments:
        name: its name, or a beginning that no other has.
        storage: folder of indexes, models and cached vectors.
        embedder: the model that made it, if that was your own.
        place: see `Place`.
    Raises:
        IndexMissing, IndexBroken, IndexMismatch, ModelError: as their names say.

    >>> index = open_index(storage=storage)
    >>> [hit.node.text for hit in index.as_retriever("hybrid:0.7").retrieve("opening hours")]
    ['We are open from nine to six.']
    """
    from rag_app.query.opened import Index

    workspace = _workspace(storage, embedder=embedder, **place)
    return Index(workspace, workspace.open(name))


def write_questions(
    *,
    storage: str | Path = DEFAULT_STORAGE,
    index: str | None = None,
    llm: "LanguageModelOptions | None" = None,
    per_chunk: int = 2,
    limit: int | None = None,
    writing: "WritingOptions | None" = None,
    seed: int = 13,
    embedder: "Embedder | None" = None,
    progress: "Progress | None" = None,
    **place: Unpack[Place],
) -> "QuestionsReport":
    """Write questions that the chunks of an index answer, and keep those that find their passage.

    Arguments:
        storage: folder of indexes, models and questions.
        index: its name; the one in service unless named.
        llm: which language model writes; the local one if it is installed, else questions come from
            headings, key sentences and key words.
        per_chunk: questions asked for by chunk.
        limit: only so many chunks, spread over the index.
        writing: how people ask: styles, a query log, examples; and whether the model judges.
    Raises:
        IndexMissing, IndexBroken, ModelError, LanguageModelError, StorageError: as their names say.

    >>> from rag_app.llm.choose import LanguageModelOptions
    >>> report = write_questions(storage=storage, llm=LanguageModelOptions(kind="none"))
    >>> report.chunks
    1
    """
    from rag_app.llm.choose import LanguageModelOptions
    from rag_app.progress import silent
    from rag_app.questions import WritingOptions
    from rag_app.questions import write_questions as write

    workspace = _workspace(storage, embedder=embedder, **place)
    return write(
        workspace.open(index),
        storage=workspace.storage,
        llm=llm or LanguageModelOptions(models=workspace.models),
        per_chunk=per_chunk,
        limit=limit,
        writing=writing or WritingOptions(),
        seed=seed,
        progress=progress or silent,
    )


def finetune(
    pairs: "Questions | None" = None,
    *,
    storage: str | Path = DEFAULT_STORAGE,
    index: str | None = None,
    model: str | None = None,
    preset: str | None = None,
    loss: str = "mnrl",
    method: str = "full,adapter",
    test: "Questions | None" = None,
    train_on: "TrainOn | None" = None,
    held_out: "HeldOutOption" = "auto",
    folds: int | None = None,
    repeats: int = 1,
    dev_share: float = 0.1,
    test_share: float = 0.3,
    group_by: str | None = None,
    canary: str | Path | None = None,
    retriever: str = "vector",
    promote: bool = True,
    refit: bool = True,
    seed: int = 13,
    results: str | Path | None = None,
    embedder: "Embedder | None" = None,
    progress: "Progress | None" = None,
    training: dict[str, Any] | None = None,
    **place: Unpack[Place],
) -> "FinetuneResult":
    """Tune the embedding model on pairs, score it on held-out ones, promote the index if it won.

    Arguments:
        pairs: a file or BEIR folder, an `EmbeddingQAFinetuneDataset`, labelled questions, or
            (question, passage) tuples; without any, questions that `write_questions` wrote.
            Pairs that bring their passages need no index: theirs is made.
        storage: folder of indexes, models and questions.
        index: to start from; the one in service unless named.
        model: what to tune where an index is made for the pairs.
        preset: "quick": one or two epochs, minutes on a CPU.
        loss: "mnrl", "triplet", "dae", or several in turn: "dae,mnrl".
        method: "full", "lora", "adapter", or weights and adapter: "lora,adapter".
        test: labelled questions that give the verdict, in place of a share of the pairs; pairs that
            ask the same are not trained on. Of a BEIR folder its qrels/test.tsv, unless named.
        train_on: "labelled", "synthetic" or "both".
        held_out: what is new about a held-out question: "documents", "questions" (other questions
            of its passage are trained on), "both", or "auto": both where enough passages have
            several questions.
        folds, repeats: every question is held out once, in one of so many trainings; so often.
        dev_share, test_share: of the pairs, which choose the checkpoint and give the verdict; of
            "both" kinds half of `test_share` is held out besides, by question.
        group_by: metadata key whose documents stay in one part of the split.
        canary: out-of-domain questions with passages (a file or folder), whose certain fall weakens
            or holds the model; the sample data unless named. "report": these are only measured;
            "none": not even that.
        promote: put the tuned index into service if it won.
        retriever: of the tuned model, which the verdict is about: "vector", "hybrid:0.7",
            "hybrid:equal", "hybrid:learned"; the base's is vector search.
        refit: what is promoted is trained again on all pairs.
        results: folder of what is measured; `results` in the storage unless named.
        training: further fields of `rag_app.finetune.options.TrainingOptions`, such as epochs,
            batch_size, learning_rate.
    Raises:
        ConfigError: a value that an argument does not take.
        PairsError, LeakError, TrainingError, IndexMissing, ModelError: as their names say.

    >>> pairs = [(f"how much is item {n}", f"Item {n} costs {n + 90} euro.") for n in range(24)]
    >>> result = finetune(pairs, storage=storage, method="adapter", training={"epochs": 1})
    >>> result.data.split["test"] == result.judgement.comparison.n
    True
    """
    from rag_app.evaluate.canary import CanaryOptions
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.stage import finetune as tune
    from rag_app.pairs import SplitOptions
    from rag_app.pairs.inputs import as_file
    from rag_app.progress import silent
    from rag_app.retrieve import RetrievalOptions

    workspace = _workspace(storage, embedder=embedder, **place)
    request = FinetuneRequest(
        pairs=None if pairs is None else as_file(pairs, workspace.storage / "pairs"),
        test=None if test is None else as_file(test, workspace.storage / "pairs"),
        train_on=train_on,
        index=index,
        model=model,
        options=_training_options(training or {}, loss=loss, method=method, seed=seed),
        split=SplitOptions(
            dev_share=dev_share,
            test_share=test_share,
            group_by=group_by,
            held_out=held_out,
            folds=folds,
            repeats=repeats,
        ),
        preset=preset,
        canary=CanaryOptions.of(canary),
        retrieval=RetrievalOptions.parse(retriever),
        promote=promote,
        refit=refit,
        results=Path(results or workspace.results),
    )
    return tune(workspace, request, progress=progress or silent)


def sweep(
    questions: "Questions | None" = None,
    *,
    storage: str | Path = DEFAULT_STORAGE,
    index: str | None = None,
    chunk_sizes: Sequence[int] = (128, 256, 512),
    models: Sequence[str] = (),
    retrievers: Sequence[str] = ("vector", "hybrid:auto"),
    test_share: float = 0.5,
    tune: bool = False,
    promote: bool = False,
    seed: int = 13,
    results: str | Path | None = None,
    embedder: "Embedder | None" = None,
    progress: "Progress | None" = None,
    **place: Unpack[Place],
) -> "SweepResult":
    """Compare chunk sizes, models and retrievers on the same questions.

    Half of the questions choose, the other half report.

    Arguments:
        questions: as `finetune` takes pairs; without any, those that `write_questions` wrote.
        storage: folder of indexes, models and questions.
        index: whose documents, and the setting to beat; the one in service unless named.
        chunk_sizes: tokens.
        models: besides the index's own; by name or folder.
        retrievers: as `--retriever` takes them; "hybrid:auto" finds its weight.
        test_share: of the questions, for the report.
        tune: tune each model as well and judge it on the same questions; nothing goes into service.
        promote: put the index of a setting that won into service; the command does unless told not
            to.
        results: folder of what is measured; `results` in the storage unless named.
    Raises:
        ConfigError, PairsError, DocumentError, IndexMissing, ModelError: as their names say.

    >>> from llama_index.core.schema import Document
    >>> texts = [f"Item {n} costs {n + 90} euro." for n in range(24)]
    >>> asked = [(f"how much is item {n}", text) for n, text in enumerate(texts)]
    >>> documents = [Document(id_=f"item{n}", text=text) for n, text in enumerate(texts)]
    >>> report = ingest(documents, storage=storage)
    >>> result = sweep(asked, storage=storage, chunk_sizes=(256,), retrievers=("keyword",))
    >>> [row.candidate.setting.retrieval.spec for row in result.rows]
    ['vector', 'keyword']
    """
    from rag_app.pairs.inputs import as_file
    from rag_app.progress import silent
    from rag_app.retrieve import Tools
    from rag_app.sweep.grid import Grid
    from rag_app.sweep.request import SweepRequest
    from rag_app.sweep.stage import sweep as compare_settings

    workspace = _workspace(storage, embedder=embedder, **place)
    request = SweepRequest(
        grid=Grid.of(chunk_sizes=chunk_sizes, models=models, retrievers=retrievers),
        questions=None if questions is None else as_file(questions, workspace.storage / "pairs"),
        index=index,
        test_share=test_share,
        promote=promote,
        tune=tune,
        seed=seed,
        results=Path(results or workspace.results),
    )
    return compare_settings(
        workspace, request, tools=Tools.of(workspace), progress=progress or silent
    )


def language_model(**options: Unpack[LanguageModelFields]) -> "ChatModel | None":
    """A language model behind the OpenAI chat protocol, for `Index.as_query_engine`.

    Arguments:
        options: fields of `rag_app.llm.choose.LanguageModelOptions`: kind, base_url, model,
            api_key, ...
    Raises:
        ConfigError, LanguageModelError: as their names say.

    >>> language_model(kind="none") is None
    True
    """
    from rag_app.llm.choose import LanguageModelOptions, open_language_model

    _refuse_unknown_names(options, LanguageModelFields)
    return open_language_model(LanguageModelOptions(**options))


def _training_options(training: dict[str, Any], **arguments: Any) -> "TrainingOptions":
    """The options of `training` besides those that are arguments of their own."""
    from rag_app.finetune.options import TrainingOptions

    names = (field.name for field in fields(TrainingOptions))
    known = [name for name in names if name not in arguments]
    for name in training:
        if name in arguments:
            raise ConfigError(f"{name} is an argument of its own; take it out of training=")
        refuse_unknown("a field of training=", name, known)
    return TrainingOptions(**training, **arguments)


def _workspace(
    storage: str | Path, *, embedder: "Embedder | None" = None, **place: Unpack[Place]
) -> "Workspace":
    _refuse_unknown_names(place, Place)
    prepare_environment(offline=place.get("offline", True))
    from rag_app.index import Workspace

    return Workspace(Path(storage), embedder=embedder, **place)


def _refuse_unknown_names(given: Mapping[str, object], known: type) -> None:
    for name in given:
        refuse_unknown("an argument", name, known.__annotations__)
