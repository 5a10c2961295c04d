"""Stage: tune the embedding model on pairs, score it before and after, promote it if it won."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_app.errors import PairsError
from rag_app.evaluate.canary import Canary, find_canary, harm_on, read_canary, watch_canary
from rag_app.evaluate.comparison import compare, exact_outcomes, search_loss
from rag_app.evaluate.verdict import guard
from rag_app.finetune.card import write_card
from rag_app.finetune.data.material import Material, prepare, read_labelled
from rag_app.finetune.data.rows import cut_passages
from rag_app.finetune.opinion import Believe, agreement, cross_encoder_opinion
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import Workshop, plan_phases, train_phases
from rag_app.finetune.presets import BEST, QUICK, Search, as_quick, search_best
from rag_app.finetune.promotion import Lineage, promote
from rag_app.finetune.request import NO_OPINION, FinetuneRequest, FinetuneResult
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.train.processes import send
from rag_app.index import Catalog, IndexInfo, Passages, VectorCache, copy_chunks, index_name
from rag_app.models import EmbeddingModel, load_named
from rag_app.models.cross_encoder import load_cross_encoder
from rag_app.pairs import Pair, Split
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.index import VectorIndex


def finetune(
    settings: "Settings", request: FinetuneRequest, *, progress: Progress = silent
) -> FinetuneResult:
    """Tune, index, score, decide.

    The base is the model that the index's model was tuned from, if it was tuned: running the same
    command again gives the same result, not a tuning of the tuned. A run that was killed goes on.
    Under torchrun only the leading process may call this; the others call `training.follow`.

    Raises:
        PairsError, LeakError: the pairs cannot be used.
        IndexMissing, ModelError, TrainingError: as their names say.
    """
    try:
        return _finetune(settings, request, progress)
    finally:
        send(None)


def _finetune(settings: "Settings", request: FinetuneRequest, progress: Progress) -> FinetuneResult:
    started = time.monotonic()
    plan_phases(request.options, request.negatives)
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    cache = VectorCache(settings.storage)
    source = catalog.open(request.index)
    base_index, base = _open_base(catalog, settings, source, cache, progress)
    passages = base_index.passages()
    material = _gather(settings, request, base_index, base, passages, cache, progress)
    # Read before anything is trained, in case it cannot be.
    canary = _canary(request, base, base_index, passages)
    shop = Workshop(settings.storage / "models", cache, settings.device, progress)
    trained = _train(request, base, material, shop, canary)
    tuned = trained.model
    tuned_index = _make_tuned(catalog, base_index, tuned, base)
    lineage = Lineage(source, base_index, base, tuned_index, tuned)
    lineage.bring_up_to_date(cache, progress)
    tuned_passages = tuned_index.passages()
    comparison, on_training = (
        compare(
            exact_outcomes(passages, base, questions, cache=cache, progress=progress),
            exact_outcomes(tuned_passages, tuned, questions, cache=cache, progress=progress),
            seed=settings.seed,
        )
        for questions in (material.test, material.train)
    )
    watched = watch_canary(canary, base, tuned, cache=cache, seed=settings.seed) if canary else None
    verdict = guard(comparison.verdict, watched.differences) if watched else comparison.verdict
    promoted = request.promote and verdict.decision == "promote"
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
        promote(catalog, lineage, cache, progress=progress)
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
    chunking = index.info.chunking
    if request.canary:
        return read_canary(request.canary, base, chunking)
    return find_canary(base, chunking, passages.nodes)


def _open_base(
    catalog: Catalog,
    settings: "Settings",
    index: "VectorIndex",
    cache: VectorCache,
    progress: Progress,
) -> tuple["VectorIndex", EmbeddingModel]:
    """The index of the untuned model, brought in line with the one that is to be tuned."""
    base = load_named(index.info.base_model, settings)
    if index.info.model == index.info.base_model:
        index.check_model(base)
        return index, base
    info = IndexInfo.of(base, index.info.chunking)
    base_index = catalog.make(catalog.find(info) or index_name(info), info)
    copy_chunks(index, base_index, model=base, cache=cache, progress=progress)
    return base_index, base


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
    unmatched = 0
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


def _make_tuned(
    catalog: Catalog, base_index: "VectorIndex", tuned: EmbeddingModel, base: EmbeddingModel
) -> "VectorIndex":
    info = IndexInfo.of(tuned, base_index.info.chunking, base_model=base.name)
    return catalog.make(index_name(info), info)


def _counts(split: Split) -> dict[str, int]:
    return {"train": len(split.train), "dev": len(split.dev), "test": len(split.test)}


def _keep(result: FinetuneResult, request: FinetuneRequest) -> None:
    """Write outcomes, summary and model card."""
    result.comparison.write(result.results)
    (result.results / "finetune.json").write_text(
        json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8"
    )
    write_card(result, request)
