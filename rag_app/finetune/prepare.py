"""First step: open the base, read and split the pairs, find the canary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rag_app.chunking import WHOLE_PASSAGES, Chunking
from rag_app.errors import ConfigError, PairsError
from rag_app.evaluate.canary import Canary, find_canary, read_canary, why_no_canary
from rag_app.evaluate.file_names import key_of
from rag_app.finetune.context import TrainingContext, TunableIndex
from rag_app.finetune.data.material import Material, prepare_materials, read_labelled
from rag_app.finetune.request import FinetuneRequest
from rag_app.index import (
    Catalog,
    IndexInfo,
    OpenIndex,
    Passages,
    VectorIndex,
    copy_chunks,
    name_for,
)
from rag_app.pairs import Pair, Unmatched, in_service, open_dataset, training_qrels
from rag_app.retrieve import Searched


@dataclass(frozen=True)
class Prepared:
    """What training and judging start from.

    Fields:
        source: the index that was named, or is in service.
        base: the index of the untuned model, often the same.
        passages: all of its chunks.
        searched: these as retrievers search them.
        materials: one, or one for each fold.
        canary: out-of-domain questions; None where there are none.
        canary_skipped: why there are none.
        canary_guards: what certainly falls there is weakened or held, not only reported.
        may_be_replaced: what is in service holds the same chunks, so that the tuned index may take
            its place.
    """

    source: VectorIndex
    base: TunableIndex
    passages: Passages
    searched: Searched
    materials: list[Material]
    canary: Canary | None
    canary_skipped: str = ""
    canary_guards: bool = True
    may_be_replaced: bool = True

    def results(self, request: FinetuneRequest, model: str, *besides: object) -> Path:
        """Folder of what is measured; another one where anything else was asked.

        Whether what won goes into service, and how training is watched, changes nothing there.

        Arguments:
            model: name of the tuned model.
            besides: what was asked that the request does not say.
        """
        # What the files and language models of the request gave stands in the questions.
        asked = (
            request.trained_on,
            request.options,
            request.split,
            request.preset,
            request.canary,
            request.retrieval,
        )
        every = [q.id for one in self.materials for test in one.tests.values() for q in test]
        key = key_of(*asked, self.base.index.name, every, *besides)
        return request.results / f"finetune-{model}-{key}"


def prepare(context: TrainingContext, request: FinetuneRequest) -> Prepared:
    """Open, read and split; nothing is trained.

    Raises:
        PairsError, LeakError: the pairs cannot be used, or the canary cannot be read.
        IndexMissing, ModelError: as their names say.
    """
    catalog = context.workspace.catalog
    if request.pairs is not None:
        pairs, test = training_qrels(request.pairs), request.judged_by
        request = replace(request, pairs=pairs, test=test)
    dataset = _open_dataset(context, request)
    source = dataset.index if dataset else catalog.open(request.index)
    base = dataset or open_base(context, request, source)
    passages = base.index.passages()
    materials = _materials(context, request, base, passages)
    canary, skipped = _canary(request, base, passages)
    replaces = dataset is None or _holds_the_same(in_service(catalog), base.index)
    return Prepared(
        source,
        base,
        passages,
        Searched(base.index, base.model, passages, context.cache),
        materials,
        canary,
        skipped,
        canary_guards=request.canary.use == "guard",
        may_be_replaced=replaces,
    )


def _open_dataset(context: TrainingContext, request: FinetuneRequest) -> TunableIndex | None:
    """The index of the passages that the pairs bring, in service if nothing is; None: another."""
    if request.pairs is None or request.index is not None:
        return None
    dataset = open_dataset(
        context.workspace,
        request.pairs,
        besides=request.test,
        model=request.model,
        usual_model=request.usual_model,
        progress=context.progress,
        tell=context.tell,
    )
    catalog = context.workspace.catalog
    if dataset and catalog.in_service() is None:
        catalog.put_into_service(dataset.index.name)
    return dataset


def _holds_the_same(active: VectorIndex | None, index: VectorIndex) -> bool:
    """Whether the index in service holds the very chunks of this one, by whatever model."""
    return active is None or (
        active.name == index.name or set(active.chunk_ids()) == set(index.chunk_ids())
    )


def open_base(
    context: TrainingContext, request: FinetuneRequest, index: VectorIndex
) -> TunableIndex:
    """The index of the untuned model, brought in line with the one that is to be tuned.

    Raises:
        ConfigError: another model is to be tuned than the one that made the index.
    """
    workspace, catalog = context.workspace, context.workspace.catalog
    own = index.info.base_model
    if request.model and not workspace.made_with(index.info, request.model):
        raise ConfigError(
            f"the model to tune is {request.model} (--model or --dimensions), but index "
            f"{index.name!r} was made with {own}; leave these options out, or run `rag-app ingest "
            f"--model {request.model} PATH` and name that index with --index"
        )
    if index.info.model == own:
        base = workspace.weights_of(index.info)
        index.check_model(base)
        return OpenIndex(index, base)
    base = workspace.load_model(own)
    info = IndexInfo.of(base, index.info.chunking)
    base_index = catalog.make(_untuned_name(catalog, index, info), info)
    copy_chunks(index, base_index, model=base, cache=workspace.cache, progress=context.progress)
    return OpenIndex(base_index, base)


def _untuned_name(catalog: Catalog, index: VectorIndex, info: IndexInfo) -> str:
    """Name of the untuned model's index that belongs to a tuned one, whether it is there or not."""
    if info.chunking != WHOLE_PASSAGES:
        return catalog.find(info) or name_for(catalog.names(), info)
    # Each dataset has an index of its own, and all of them are made alike.
    chunks = set(index.chunk_ids())
    same = (
        one.name for one in catalog.indexes() if one.info == info and set(one.chunk_ids()) == chunks
    )
    return next(same, f"{index.name[:90]}-untuned")


def _materials(
    context: TrainingContext,
    request: FinetuneRequest,
    base: TunableIndex,
    passages: Passages,
) -> list[Material]:
    labelled: list[Pair] = []
    unmatched = Unmatched()
    if request.pairs is not None:
        labelled, unmatched = read_labelled(request.pairs, passages.nodes, columns=request.columns)
    test: list[Pair] = []
    if request.test is not None:
        test, left_out = read_labelled(request.test, passages.nodes, columns=request.columns)
        unmatched = unmatched.and_also(left_out)
    synthetic: Sequence[Pair] = []
    if request.trained_on != "labelled":
        synthetic = _synthetic(context, request, base, passages)
    return prepare_materials(
        labelled,
        synthetic,
        train_on=request.trained_on,
        passages=passages,
        embed=partial(context.cache.embed_queries, base.model),
        options=request.split,
        batch_size=request.options.batch_size,
        seed=request.options.seed,
        unmatched=unmatched,
        test=test,
    )


def _synthetic(
    context: TrainingContext,
    request: FinetuneRequest,
    base: TunableIndex,
    passages: Passages,
) -> Sequence[Pair]:
    """Pairs from the questions written about this index; written now if there are none yet."""
    from rag_app.questions import to_pairs, usable_questions, write_questions

    storage, llm = context.workspace.storage, request.llm
    questions = usable_questions(storage, llm, passages, base.model)
    if not questions:
        seed = request.options.seed
        write_questions(base, storage=storage, llm=llm, seed=seed, progress=context.progress)
        questions = usable_questions(storage, llm, passages, base.model)
    if not questions:
        raise PairsError(
            "no generated question was good enough to train on; name another language model with "
            "--llm-base-url and --llm-model in `rag-app questions`, or labelled pairs with --pairs"
        )
    return to_pairs(questions)


def _canary(
    request: FinetuneRequest, base: TunableIndex, passages: Passages
) -> tuple[Canary | None, str]:
    """Read before anything is trained, in case it cannot be; and why there is none."""
    whole = base.index.info.chunking == WHOLE_PASSAGES
    chunking = Chunking() if whole else base.index.info.chunking
    if request.canary.use == "none":
        return None, "--canary none"
    if request.canary.path:
        return read_canary(request.canary.path, base.model, chunking), ""
    found = find_canary(base.model, chunking, passages.nodes)
    return found, "" if found else why_no_canary(base.model, chunking, passages.nodes)
