"""First step: open the base, read and split the pairs, find the canary."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag_app.errors import PairsError
from rag_app.evaluate.canary import Canary, find_canary, read_canary
from rag_app.finetune.context import TrainingContext, TunableIndex
from rag_app.finetune.data.material import Material, prepare_material, read_labelled
from rag_app.finetune.request import FinetuneRequest
from rag_app.index import IndexInfo, OpenIndex, Passages, Workspace, copy_chunks, name_for
from rag_app.pairs import Pair
from rag_app.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """What training and judging start from.

    Fields:
        base: the index of the untuned model.
        passages: all of its chunks.
        canary: out-of-domain questions; None where there are none.
    """

    base: TunableIndex
    passages: Passages
    material: Material
    canary: Canary | None


def prepare(context: TrainingContext, request: FinetuneRequest) -> Prepared:
    """Open, read and split; nothing is trained.

    Raises:
        PairsError, LeakError: the pairs cannot be used, or the canary cannot be read.
        IndexMissing, ModelError: as their names say.
    """
    base = open_base(context.workspace, request.index, progress=context.progress)
    passages = base.index.passages()
    material = _material(context, request, base, passages)
    return Prepared(base, passages, material, _canary(request, base, passages))


def open_base(workspace: Workspace, name: str | None, *, progress: Progress) -> TunableIndex:
    """The index of the untuned model, brought in line with the named (or active) one."""
    catalog = workspace.catalog
    index = catalog.open(name)
    base = workspace.load_model(index.info.base_model)
    if index.info.model == index.info.base_model:
        index.check_model(base)
        return OpenIndex(index, base)
    info = IndexInfo.of(base, index.info.chunking)
    base_index = catalog.make(catalog.find(info) or name_for(catalog, info), info)
    copy_chunks(index, base_index, model=base, cache=workspace.cache, progress=progress)
    return OpenIndex(base_index, base)


def _material(
    context: TrainingContext,
    request: FinetuneRequest,
    base: TunableIndex,
    passages: Passages,
) -> Material:
    labelled: list[Pair] = []
    unmatched = 0
    if request.pairs is not None:
        labelled, unmatched = read_labelled(request.pairs, passages.nodes, columns=request.columns)
    wanted = request.train_on != "labelled" or request.pairs is None
    synthetic = _synthetic(context, request, base, passages) if wanted else []
    return prepare_material(
        labelled,
        synthetic,
        train_on=request.train_on,
        passages=passages,
        model=base.model,
        options=request.split,
        batch_size=request.options.batch_size,
        seed=request.options.seed,
        unmatched=unmatched,
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


def _canary(request: FinetuneRequest, base: TunableIndex, passages: Passages) -> Canary | None:
    """Read before anything is trained, in case it cannot be."""
    chunking = base.index.info.chunking
    if request.canary:
        return read_canary(request.canary, base.model, chunking)
    return find_canary(base.model, chunking, passages.nodes)
