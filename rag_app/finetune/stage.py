"""Stage: tune the embedding model on pairs, score it before and after, promote it if it won."""

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rag_app.chunks import WHOLE_PASSAGES, Chunking
from rag_app.disk import refuse_unwritable, write_whole
from rag_app.errors import ConfigError, PairsError
from rag_app.evaluate.canary import Canary, find_canary, harm_on, read_canary, watch_canary
from rag_app.evaluate.comparison import compare_outcomes, exact_outcomes, search_loss
from rag_app.evaluate.verdict import guard
from rag_app.finetune.card import write_card
from rag_app.finetune.data.material import Material, prepare, read_labelled
from rag_app.finetune.data.rows import cut_passages
from rag_app.finetune.opinion import Believe, agreement, cross_encoder_opinion
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import Workshop, plan_phases, train_phases
from rag_app.finetune.presets import BEST, QUICK, Search, as_quick, search_best
from rag_app.finetune.request import NO_OPINION, FinetuneRequest, FinetuneResult
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.train.processes import send
from rag_app.index import Catalog, IndexInfo, Passages, VectorCache, copy_chunks, index_name
from rag_app.models import EmbeddingModel, load_named
from rag_app.models.cross_encoder import load_cross_encoder
from rag_app.pairs import Pair, Split, Unmatched, in_service, open_dataset
from rag_app.progress import Progress, silent

# How the canary is cut where the passages are whole.
USUAL_CHUNKING = Chunking(256, 32)

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.index import VectorIndex


def finetune(
    settings: "Settings",
    request: FinetuneRequest,
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> FinetuneResult:
    """Tune, index, score, decide.

    The base is the model that the index's model was tuned from, if it was tuned: running the same
    command again gives the same result, not a tuning of the tuned. A run that was killed goes on.
    Pairs that bring their own passages are tuned on over an index of those, unless an index was
    named or the one in service holds them; it goes into service if nothing is.
    Under torchrun only the leading process may call this; the others call `training.follow`.

    Arguments:
        tell: called with a sentence about an index that is made for the pairs.
    Raises:
        PairsError, LeakError: the pairs cannot be used.
        IndexMissing, ModelError, TrainingError: as their names say.
    """
    try:
        return _finetune(settings, request, progress, tell)
    finally:
        send(None)


def _finetune(
    settings: "Settings",
    request: FinetuneRequest,
    progress: Progress,
    tell: Callable[[str], None],
) -> FinetuneResult:
    started = time.monotonic()
    plan_phases(request.options, request.negatives)
    refuse_unwritable(settings.results, is_folder=True, make_parents=True)
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    cache = VectorCache(settings.storage)
    dataset = _open_dataset(catalog, settings, request, progress, tell)
    base_index, base = dataset or _open_base(catalog, settings, request, cache, progress)
    passages = base_index.passages()
    material = _gather(settings, request, base_index, base, passages, cache, progress)
    # Read before anything is trained, in case it cannot be.
    canary = _canary(request, base, base_index, passages)
    shop = Workshop(settings.storage / "models", cache, settings.device, progress)
    trained = _train(request, base, material, shop, canary)
    tuned = trained.model
    tuned_index = _build_tuned(catalog, base_index, tuned, base, cache, progress)
    tuned_passages = tuned_index.passages()
    comparison, on_training = (
        compare_outcomes(
            exact_outcomes(passages, base, questions, cache=cache, progress=progress),
            exact_outcomes(tuned_passages, tuned, questions, cache=cache, progress=progress),
            seed=settings.seed,
        )
        for questions in (material.test, material.train)
    )
    watched = watch_canary(canary, base, tuned, cache=cache, seed=settings.seed) if canary else None
    verdict = guard(comparison.verdict, watched.differences) if watched else comparison.verdict
    wanted = request.promote and (dataset is None or _is_in_service(catalog, base_index))
    promoted = wanted and verdict.decision == "promote"
    result = FinetuneResult(
        model=tuned.folder,
        base_model=base.name,
        index=tuned_index.name,
        base_index=base_index.name,
        promoted=promoted,
        split=_counts(material.split),
        rows=len(material.rows),
        unmatched=material.unmatched,
        echoes=material.echoes,
        doubted=material.doubted,
        cut=cut_passages(material.rows, base, _read_tokens(trained.options)),
        comparison=comparison,
        training_scores=on_training,
        search_loss=search_loss(tuned_index, tuned, comparison.tuned_outcomes),
        training=trained.report,
        options=trained.options,
        tried=trained.tried,
        verdict=verdict,
        canary=watched,
        seconds=time.monotonic() - started,
        results=settings.results / f"finetune-{tuned.name}",
    )
    _keep(result, request)
    if promoted:
        catalog.active.use(tuned_index.name, instead_of=base_index.name)
    return result


def _train(
    request: FinetuneRequest,
    base: EmbeddingModel,
    material: Material,
    shop: Workshop,
    canary: Canary | None,
) -> Search:
    options, negatives = request.options, request.negatives
    harms = harm_on(canary, base, cache=shop.cache, seed=options.seed)
    if request.preset == BEST:
        return search_best(
            base, material, options, negatives, shop, minutes=request.minutes, harms=harms
        )
    if request.preset == QUICK:
        options = as_quick(options, material.rows, base)
    model, report = train_phases(base, material, options, negatives, shop, harms=harms)
    return Search(model, report, options, [])


def _read_tokens(options: TrainingOptions) -> int | None:
    """Where training cuts texts; an adapter's are embedded as ever."""
    return None if options.method == ADAPTER else options.max_tokens


def _canary(
    request: FinetuneRequest, base: EmbeddingModel, index: "VectorIndex", passages: Passages
) -> Canary | None:
    whole = index.info.chunking == WHOLE_PASSAGES
    chunking = USUAL_CHUNKING if whole else index.info.chunking
    if request.canary:
        return read_canary(request.canary, base, chunking)
    return find_canary(base, chunking, passages.nodes)


def _open_dataset(
    catalog: Catalog,
    settings: "Settings",
    request: FinetuneRequest,
    progress: Progress,
    tell: Callable[[str], None],
) -> tuple["VectorIndex", EmbeddingModel] | None:
    """The index of the passages that the pairs bring, in service if nothing is; None: another."""
    if request.pairs is None or request.index is not None:
        return None
    dataset = open_dataset(
        catalog, settings, request.pairs, model=request.model, progress=progress, tell=tell
    )
    if dataset and catalog.active.current() is None:
        catalog.active.use(dataset[0].name)
    return dataset


def _is_in_service(catalog: Catalog, index: "VectorIndex") -> bool:
    """Whether the index in service holds the very chunks of this one, by whatever model."""
    active = in_service(catalog)
    return active is None or (
        active.name == index.name or set(active.chunk_ids()) == set(index.chunk_ids())
    )


def _open_base(
    catalog: Catalog,
    settings: "Settings",
    request: FinetuneRequest,
    cache: VectorCache,
    progress: Progress,
) -> tuple["VectorIndex", EmbeddingModel]:
    """The index of the untuned model, brought in line with the named (or active) one."""
    index = catalog.open(request.index)
    if request.model not in (None, index.info.base_model, index.info.model):
        raise ConfigError(
            f"--model is {request.model!r}, but index {index.name!r} was made with "
            f"{index.info.base_model}; leave --model out, or run `rag-app ingest --model "
            f"{request.model} PATH` and name that index with --index"
        )
    base = load_named(index.info.base_model, settings)
    if index.info.model == index.info.base_model:
        index.check_model(base)
        return index, base
    info = IndexInfo.of(base, index.info.chunking)
    base_index = catalog.make(_untuned_name(catalog, index, info), info)
    copy_chunks(index, base_index, model=base, cache=cache, progress=progress)
    return base_index, base


def _untuned_name(catalog: Catalog, index: "VectorIndex", info: IndexInfo) -> str:
    """Name of the untuned model's index that belongs to a tuned one, whether it is there or not."""
    if info.chunking != WHOLE_PASSAGES:
        return catalog.find(info) or index_name(info)
    # Each dataset has an index of its own, and all of them are made alike.
    chunks = set(index.chunk_ids())
    others = (catalog.open(name) for name in catalog.names())
    same = (one.name for one in others if one.info == info and set(one.chunk_ids()) == chunks)
    return next(same, f"{index.name[:90]}-untuned")


def _gather(
    settings: "Settings",
    request: FinetuneRequest,
    index: "VectorIndex",
    base: EmbeddingModel,
    passages: Passages,
    cache: VectorCache,
    progress: Progress,
) -> Material:
    labelled: list[Pair] = []
    unmatched = Unmatched()
    if request.pairs is not None:
        labelled, unmatched = read_labelled(request.pairs, settings, passages.nodes)
    synthetic = (
        _synthetic(settings, index, base, passages, progress)
        if request.train_on != "labelled" or request.pairs is None
        else []
    )
    return prepare(
        labelled,
        synthetic,
        train_on=request.train_on,
        passages=passages,
        model=base,
        options=request.split,
        batch_size=request.options.batch_size,
        seed=settings.seed,
        unmatched=unmatched,
        believe=_believe(settings, request.second_opinion, passages, base, cache),
    )


def _believe(
    settings: "Settings",
    opinion: str,
    passages: Passages,
    model: EmbeddingModel,
    cache: VectorCache,
) -> Believe:
    if opinion == NO_OPINION:
        return list
    if opinion == "agreement":
        return agreement(passages, model, cache)
    encoder = load_cross_encoder(opinion, settings)
    return cross_encoder_opinion(encoder, passages, model, cache)


def _synthetic(
    settings: "Settings",
    index: "VectorIndex",
    base: EmbeddingModel,
    passages: Passages,
    progress: Progress,
) -> Sequence[Pair]:
    """Pairs from the questions written about this index; written now if there are none yet."""
    from rag_app.questions import to_pairs, usable_questions, write_questions

    questions = usable_questions(settings, index, base, passages)
    if not questions:
        write_questions(settings, index_name=index.name, progress=progress)
        questions = usable_questions(settings, index, base, passages)
    if not questions:
        raise PairsError(
            "no generated question was good enough to train on; name another language model with "
            "--llm-base-url and --llm-model in `rag-app questions`, or labelled pairs with --pairs"
        )
    return to_pairs(questions)


def _build_tuned(
    catalog: Catalog,
    base_index: "VectorIndex",
    tuned: EmbeddingModel,
    base: EmbeddingModel,
    cache: VectorCache,
    progress: Progress,
) -> "VectorIndex":
    info = IndexInfo.of(tuned, base_index.info.chunking, base_model=base.name)
    index = catalog.make(index_name(info), info)
    copy_chunks(base_index, index, model=tuned, cache=cache, progress=progress)
    return index


def _counts(split: Split) -> dict[str, int]:
    return {"train": len(split.train), "dev": len(split.dev), "test": len(split.test)}


def _keep(result: FinetuneResult, request: FinetuneRequest) -> None:
    """Write outcomes, summary and model card."""
    result.comparison.write(result.results)
    write_whole(
        result.results / "finetune.json",
        json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n",
    )
    write_card(result, request)
