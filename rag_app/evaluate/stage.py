"""Stage: any indexes, models and retrievers side by side on one file of questions."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rag_app.documents import Columns
from rag_app.errors import PairsError
from rag_app.evaluate.comparison import compare_outcomes, judged_together
from rag_app.evaluate.evidence import AskedIndex
from rag_app.evaluate.file_names import key_of
from rag_app.evaluate.kept_passages import names_of, passages_of
from rag_app.evaluate.recorded import Recorded
from rag_app.evaluate.request import EvaluateRequest
from rag_app.evaluate.result import Evaluated, EvaluatedRun
from rag_app.evaluate.scoring import KEPT_RANKS, Outcome, score_questions
from rag_app.evaluate.statistics import summarise
from rag_app.evaluate.subject import Subject, open_subjects, retrievals_of
from rag_app.evaluate.trained_on import questions_trained_on
from rag_app.index import Passages, VectorIndex, Workspace
from rag_app.pairs import (
    Pair,
    Question,
    Unmatched,
    build_questions,
    cluster_documents,
    document_texts,
    match_questions,
    read_questions,
)
from rag_app.progress import Progress, silent
from rag_app.retrieve import RetrievalOptions, Tools
from rag_app.retrieve.learned import kept_fusion


def evaluate_indexes(
    workspace: Workspace,
    request: EvaluateRequest,
    *,
    tools: Tools,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> Evaluated:
    """Score every index (or every model, over the active index's chunks) with every retriever.

    Questions that bring their own passages are asked of an index of those, where no index was named
    and the one in service does not hold them: by the models that were named, else by the model in
    service and the one it was tuned from.

    Arguments:
        tell: called with a sentence about an index that is made for that.
    Raises:
        ConfigError: an unknown retriever, or the index's own search asked of a model without one.
        PairsError: the questions cannot be read, or none of their answers is in the index.
    """
    options = retrievals_of(request)
    subjects = open_subjects(workspace, request, progress, tell)
    pairs, unmatched = find_labelled(
        request.questions, subjects[0].passages, columns=request.columns
    )
    clusters = cluster_documents(document_texts(subjects[0].passages.nodes))
    indexes = [
        replace(AskedIndex.of(one.index, one.model, one.passages.nodes), name=one.name)
        for one in subjects
    ]
    runs: list[EvaluatedRun] = []
    for one, index in zip(subjects, indexes, strict=True):
        subject = replace(one, verbatim=request.verbatim)
        questions = build_questions(pairs, subject.passages.nodes, clusters)
        of_model = questions_trained_on(pairs, [subject.model], [], tools)
        for each in options:
            own = _as_kept(each, subject.index)
            of_retriever = questions_trained_on(pairs, [], [own], tools)
            run = _run(
                subject,
                each,
                own,
                questions,
                index=index,
                trained_on=(of_model, of_retriever),
                seed=request.seed,
                tools=tools,
                progress=progress,
            )
            first = runs[0] if runs else None
            runs.append(_against(first, run, request.seed, progress) if first else run)
    name = f"evaluate-{_key(request, pairs, indexes)}"
    return Evaluated(_judged(runs), unmatched, indexes, name)


def _run(
    subject: Subject,
    asked: RetrievalOptions,
    own: RetrievalOptions,
    questions: Sequence[Question],
    *,
    index: AskedIndex,
    trained_on: tuple[Collection[str], Collection[str]],
    seed: int,
    tools: Tools,
    progress: Progress,
) -> EvaluatedRun:
    """One subject asked with one retriever.

    Arguments:
        own: the retriever as the index keeps it.
        trained_on: questions that taught the model, and the retriever.
    """
    retriever = Recorded(subject.retriever(asked, tools))
    started = time.monotonic()
    outcomes = score_questions(retriever, questions, depth=KEPT_RANKS, progress=progress)
    seconds = time.monotonic() - started
    of_model, of_retriever = map(set, trained_on)
    return EvaluatedRun(
        name=subject.name,
        model=subject.model.name,
        retriever=asked.spec,
        scores=summarise(outcomes, seed=seed),
        outcomes=outcomes,
        seconds=seconds,
        tuned=subject.tuned,
        trained_on=len(of_model | of_retriever),
        model_trained_on=len(of_model),
        retriever_trained_on=len(of_retriever),
        warnings=dict(Counter(w for trace in retriever.traces for w in trace.warnings)),
        unknown_weights=_unknown_weights(own),
        known=subject.known_among(questions, tools) if own.questions else None,
        verbatim=subject.verbatim,
        fingerprint=subject.model.fingerprint,
        chunking=subject.index.info.chunking,
        names=names_of(passages_of(index.nodes, outcomes, index.names)),
    )


def _against(first: EvaluatedRun, run: EvaluatedRun, seed: int, progress: Progress) -> EvaluatedRun:
    """The run with its comparison with the first one, and why that gives no verdict."""
    taught = _no_verdict(max(run.trained_on, first.trained_on), run.outcomes)
    return replace(
        run,
        against_first=compare_outcomes(first.outcomes, run.outcomes, seed=seed, progress=progress),
        no_verdict=taught or run.unknown_weights or first.unknown_weights,
    )


def _judged(runs: Sequence[EvaluatedRun]) -> list[EvaluatedRun]:
    """The runs, those that get a verdict judged for as many as there are."""
    compared = {
        place: run.against_first
        for place, run in enumerate(runs)
        if run.against_first and not run.no_verdict
    }
    judged = dict(zip(compared, judged_together(list(compared.values())), strict=True))
    return [
        replace(run, against_first=judged.get(n, run.against_first)) for n, run in enumerate(runs)
    ]


def _key(request: EvaluateRequest, pairs: Sequence[Pair], indexes: Sequence[AskedIndex]) -> str:
    asked = replace(request, questions=Path())
    made = [
        (one.name, one.model.fingerprint, sorted(node.node_id for node in one.nodes))
        for one in indexes
    ]
    return key_of(asked, sorted(pair.id for pair in pairs), made)


def _as_kept(options: RetrievalOptions, index: VectorIndex) -> RetrievalOptions:
    """The options with the retriever and the weights that this index keeps for them."""
    own = options.of(index)
    return replace(own, learned=kept_fusion(index)) if own.to_be_learned else own


def _unknown_weights(options: RetrievalOptions) -> str:
    """Why nobody can say which questions taught the weights; empty if that is known."""
    learned = options.learned
    if learned is None or learned.question_ids is not None:
        return ""
    return (
        f"the weights of {options.spec} were learned on {learned.questions} questions "
        f"({learned.learned_on}) by a version that did not keep which; learn them anew with "
        "`rag-app sweep` or `rag-app finetune`"
    )


def _no_verdict(trained_on: int, outcomes: Sequence[Outcome]) -> str:
    """Why two runs are not judged on these questions, `trained_on` of which taught one of them."""
    if not trained_on:
        return ""
    return (
        f"{trained_on} of {len(outcomes)} questions are training questions of one of the two runs; "
        "judge it on questions that training never saw"
    )


def find_labelled(
    path: Path, passages: Passages, *, columns: Columns = Columns()
) -> tuple[list[Pair], Unmatched]:
    """Labelled questions with their answers' places, and those without an answer in the index.

    Raises:
        PairsError: the file cannot be read, or none of its answers is in the index.
    """
    questions = read_questions(path, question_column=columns.question, answer_column=columns.answer)
    matching = match_questions(questions, passages.nodes)
    if not matching.pairs:
        raise PairsError(
            f"none of the {len(questions)} answers in {path} is in the index; "
            "ingest the documents they come from: `rag-app ingest PATH`"
        )
    return matching.pairs, matching.left_out
