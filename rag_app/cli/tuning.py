"""What `finetune` prints: how pairs were used, scores, verdict, and how the model is loaded."""

from typing import TYPE_CHECKING

from rag_app.cli.canary import show_canary
from rag_app.cli.changes import show_changes
from rag_app.cli.run import Run
from rag_app.cli.scores import cell, comparison_table, figure
from rag_app.cli.tables import table
from rag_app.evaluate.figures import change_with_interval

if TYPE_CHECKING:
    from rag_app.finetune.data.rows import CutPassages
    from rag_app.finetune.options import TrainingReport
    from rag_app.finetune.result import FinetuneResult
    from rag_app.pairs import Unmatched


def show_tuning(run: Run, result: "FinetuneResult") -> None:
    """All that `finetune` prints of what it measured."""
    from rag_app.finetune.judge import PROMISES

    data, training, judgement = result.data, result.training, result.judgement
    show_left_out(run, data.unmatched, data.self_answering, data.repeat_test)
    _show_cut(run, data.cut)
    first = f"first of {data.folds} splits: " if data.folds > 1 else ""
    run.say(
        f"{first}trained on {data.training_pairs} pairs in {training.seconds:.0f} s "
        f"({training.device}, "
        f"{training.pairs_per_second:.1f} pairs/s, peak memory {training.peak_memory_mb} MB); "
        + best_epoch(training)
        + _query_adapter(training)
    )
    run.say(_split(result))
    for what, comparison in judgement.held_out.items():
        title = f"{comparison.n} held-out questions: {PROMISES[what]}{_searched(result)}"
        run.out.print(comparison_table(comparison, title=title), "")
    _show_parts(run, result)
    _show_known(run, result)
    on_training = judgement.training_scores
    before, after = (each["hit_rate@1"].mean for each in (on_training.base, on_training.tuned))
    run.say(
        f"on the {on_training.n} training questions themselves, which is no measure of quality: "
        f"hit@1 {figure(before)} -> {figure(after)}"
    )
    show_canary(run, result)
    run.say(f"ANN recall@10: {100 * result.ann_recall:.3g} % of what exact search finds")
    show_changes(run, result)
    run.say(str(result.verdict), style="bold")
    _show_refit(run, result)
    run.say(f"model: {result.model}")
    _show_loading(run, result)
    run.say(f"every question: {result.results}")
    run.say(
        f"index {result.index} is in service; `rag-app index rollback` takes it back"
        if result.promoted
        else f"index {result.index} is not in service; `rag-app index use {result.index}` puts it "
        "there"
    )


def _searched(result: "FinetuneResult") -> str:
    """What both sides were searched with, where it is not vector search."""
    spec = result.judged.asked
    return f" (base: vector, tuned: {spec})" if result.judgement.parts else ""


def _show_parts(run: Run, result: "FinetuneResult") -> None:
    """What the tuned model and the retriever bring, each alone and together."""
    judgement = result.judgement
    if not judgement.parts:
        return
    whole = judgement.comparison
    rows = [("base, vector", cell(whole.base["hit_rate@1"]), cell(whole.base["mrr@10"]), "")]
    every = {**judgement.parts, f"tuned, {result.judged.asked}": whole}
    for name, one in every.items():
        change = change_with_interval(one.differences["mrr@10"])
        rows.append((name, cell(one.tuned["hit_rate@1"]), cell(one.tuned["mrr@10"]), change))
    heads = ("model, retriever", "hit@1", "MRR@10", "change of MRR@10")
    run.out.print(table(heads, rows, title="what each part brings", least=heads[1:3]), "")
    if result.judged.learned:
        run.say(f"weights of the views: {result.judged.learned}")
    if result.promoted:
        run.say(
            f"the index keeps the judged retriever, {result.judged.options.spec}: `query` takes it"
        )


def _show_known(run: Run, result: "FinetuneResult") -> None:
    """What the questions of training bring as known ones, which are searched in service."""
    known = result.judgement.known
    if known is None:
        return
    change = known.differences["mrr@10"]
    run.say(
        f"with the questions of training known to the index, as in service, MRR@10 of the "
        f"{known.n} about known documents is {figure(known.tuned['mrr@10'].mean)} instead of "
        f"{figure(known.base['mrr@10'].mean)} ({change_with_interval(change)})"
        + ("" if result.judgement.serves_known else ": the index is asked without them")
    )


def _split(result: "FinetuneResult") -> str:
    """How the pairs were used."""
    split, folds = result.data.split, result.data.folds
    held_out = f"{split['test']} test" if split["test"] else ""
    known = f"{split['known']} test questions about documents that are trained on"
    parts = ", ".join(filter(None, [held_out, known if split["known"] else ""]))
    trained = f"{split['train']} train, {split['dev']} dev"
    if folds > 1:
        return f"{folds} splits, the first with {trained}; together {parts}{_repeated(result)}"
    if result.data.test_is_given:
        return (
            f"split of the pairs: {trained}; test file: {split['test']} questions about new "
            f"documents, {split['known']} about documents that are trained on"
        )
    how = "by document" if split["test"] else "by question"
    return f"split {how}: {trained}, {parts}"


def _repeated(result: "FinetuneResult") -> str:
    """How often questions were asked, where repeats ask them more than once."""
    held_out = result.judgement.held_out.values()
    asked = sum(len(one.base_outcomes) for one in held_out)
    once = asked == sum(one.n for one in held_out)
    return "" if once else f"; repeats asked them {asked} times in all"


def _show_refit(run: Run, result: "FinetuneResult") -> None:
    refit = result.refit
    if refit is None:
        return
    if refit.refused:
        run.warn(
            f"the refit on all {refit.pairs} pairs is not taken: {refit.refused}; "
            + ("nothing goes into service" if result.data.folds > 1 else "the judged model is")
        )
        return
    checks = []
    if refit.dev_mrr:
        before, after = map(figure, refit.dev_mrr)
        checks.append(f"dev MRR@10 {before} -> {after}, which it was trained on")
    if refit.agreement is not None:
        checks.append(
            f"same first passage as the judged model for {100 * refit.agreement:.0f} % of "
            "out-of-domain questions"
        )
    run.say(
        f"refit: the training that was judged, on all {refit.pairs} pairs; the verdict is about "
        f"this recipe, since nothing is left to judge the refit by ({'; '.join(checks)})"
        if checks
        else f"refit: the training that was judged, on all {refit.pairs} pairs"
    )


def _show_loading(run: Run, result: "FinetuneResult") -> None:
    """How other programs get the vectors that were judged, and what they get otherwise."""
    from rag_app.finetune.loading import llama_index_code, sentence_transformers_code

    for library, code in (
        ("sentence-transformers", sentence_transformers_code(result.model)),
        ("LlamaIndex", llama_index_code(result.model)),
    ):
        run.say(f"to load it as it was judged, in {library}:")
        for line in filter(None, code):
            run.say(f"    {line}")
    plain = result.judgement.plain
    if plain is not None:
        tuned = result.judgement.tuned_vector["mrr@10"].mean
        run.say(
            "plain encode (LlamaIndex's HuggingFaceEmbedding) leaves out prompts and query "
            f"adapter: MRR@10 {figure(plain['mrr@10'].mean)} instead of {figure(tuned)}"
        )


def best_epoch(training: "TrainingReport") -> str:
    """The epoch that was kept, in words."""
    if training.best_epoch == 0:
        return "no epoch beat the starting point"
    return f"best epoch: {training.best_epoch}"


def _query_adapter(training: "TrainingReport") -> str:
    whitening = training.whitening
    if whitening is None:
        return ""
    shares = {0.0: "no whitening", 1.0: "full whitening"}
    share = shares.get(whitening, f"whitening {whitening:g}")
    return f", query adapter: on ({share})"


def show_left_out(run: Run, unmatched: "Unmatched", self_answering: int, repeat_test: int) -> None:
    """Pairs that were not used, and why."""
    if unmatched:
        run.warn(str(unmatched))
    if self_answering:
        run.warn(
            f"{self_answering} questions were left out: they repeat the passage that answers "
            "them, which teaches nothing and makes scores too good; ask in other words"
        )
    if repeat_test:
        run.note(
            f"{repeat_test} pairs are not trained on: a question of the test file asks the same"
        )


def _show_cut(run: Run, cut: "CutPassages") -> None:
    if cut.count:
        mend = (
            f"train with a larger --max-tokens than {cut.max_tokens}"
            if cut.max_tokens < cut.model_max_tokens
            else f"the model reads no more; run `rag-app ingest PATH --chunk-size {cut.max_tokens}`"
        )
        run.warn(
            f"{cut.count} of {cut.of} passages are longer than the {cut.max_tokens} tokens that "
            f"training read of each, and their ends were not learned from: {mend}"
        )
