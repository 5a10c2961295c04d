"""Pairs a second: ours against LlamaIndex's engine and sentence-transformers' trainer.

    python eval/benchmarks/finetune_speed.py [--pairs 320] [--rounds 3]
    python eval/benchmarks/finetune_speed.py --packing [--pairs 320] [--rounds 3]
    python eval/benchmarks/finetune_speed.py --gpu

All get the same pairs. sentence-transformers' trainer runs twice: "plain" is the example of its
documentation, in float32; "sentence_transformers" has the prompts, the temperature and, where the
processor multiplies it, the bfloat16 of ours, and batches without duplicates.

Each run has a process of its own, so that its peak memory is its own; the sides take turns. Timed
is the whole call that trains, loading and saving the model included where a side does them in it,
but no import. The same dev questions are ranked with each trained model. "share_of_matrix_limit" is
the part of this machine's bfloat16 matrix products that the pairs a second need for the layers
alone.

`--packing` compares ours with itself on padded texts, in three ways: "padded" is what it does for
models that cannot read packed texts; "padded_bf16" lets hidden states go from layer to layer in
bfloat16 besides, as packed ones do; "padded_eager" takes transformers' eager attention besides,
since the backward pass of torch's fused one is slow on CPUs. Autocast, frozen word embeddings, no
dropout, batches and options are the same. Its figures stand under "packing" in the same file.

`--gpu` repeats the 2023 experiment's training: 846 pairs, 10 epochs, batch 16, a RoBERTa-base.
"""

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from corpora import E5, MINILM, RESULTS, load, write_results
from stock_engine import train_llama_index
from stock_trainer import train_stock

from rag_app.environment import prepare_environment

NAME = "finetune_speed"
BATCH = 16
TOKENS = 128
LARGE_BATCH = 256
DEV = 200
SEED = 13
SIDES = ("plain", "sentence_transformers", "llama_index", "ours")
PACK = "rag_app.finetune.train.run.pack_where_faster"
PACKING = ("padded", "padded_bf16", "padded_eager", "ours")
GPU_PAIRS, GPU_EPOCHS = 846, 10
# What the sides import while they are timed.
MODULES = ("datasets", "rag_app.finetune.train.engine", "stock_engine", "stock_trainer")


def main() -> None:
    """Measure every side in turn, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packing", action="store_true", help="ours against itself, padded")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--run", nargs=3, metavar=("SIDE", "MODEL", "BATCH"), help="one run")
    arguments = parser.parse_args()
    prepare_environment()
    if arguments.run:
        side, model, batch = arguments.run
        print(json.dumps(run(side, model, int(batch), arguments.pairs)))
    elif arguments.gpu:
        on_gpu()
    elif arguments.packing:
        compare_packing(arguments)
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Ours against the others for both models, then the memory of a large batch."""
    limit = matrix_limit()
    print(f"bfloat16 matrix products: {limit:.0f} GFLOP/s")
    results: dict[str, Any] = {"matrix_gflops": limit, "models": {}}
    for model in (MINILM, E5):
        rounds = []
        for number in range(arguments.rounds):
            order = SIDES if number % 2 == 0 else SIDES[::-1]
            sides = {side: in_process(side, model, BATCH, arguments.pairs) for side in order}
            dev = compare_dev(sides)
            rounds.append(sides)
            print_round(model, rounds[-1])
        values = {**summary(rounds, limit), "dev_mrr_ours_less_theirs": dev}
        results["models"][model] = values
        shown = {key: value for key, value in values.items() if key != "rounds"}
        print(f"{model}: {json.dumps(shown)}", flush=True)
    small = results["models"][E5]["rounds"][-1]["ours"]["peak_memory_mb"]
    large = in_process("ours", E5, LARGE_BATCH, 2 * LARGE_BATCH)["peak_memory_mb"]
    print(f"peak memory, {E5}: batch {BATCH} {small} MB, batch {LARGE_BATCH} {large} MB")
    results["large_batch"] = {
        "batch": LARGE_BATCH,
        "peak_memory_mb": large,
        "ratio": round(large / small, 3),
    }
    write_results(NAME, {**known(), **conditions(arguments.pairs), **results})


def compare_packing(arguments: argparse.Namespace) -> None:
    """Ours on packed texts against the same trainer on padded ones, for both models."""
    models = {}
    for model in (MINILM, E5):
        rounds = []
        for number in range(arguments.rounds):
            order = PACKING if number % 2 == 0 else PACKING[::-1]
            sides = {side: in_process(side, model, BATCH, arguments.pairs) for side in order}
            dev = compare_dev(sides)
            rounds.append(sides)
            print_round(model, sides)
        ratios = ratios_over(rounds, PACKING[:-1])
        print(f"{model}: packed over {ratios}, dev {dev}", flush=True)
        models[model] = {"ratios": ratios, "rounds": rounds, "dev_mrr_packed_less_padded": dev}
    found = {**conditions(arguments.pairs), "models": models}
    write_results(NAME, {**known(), "packing": found})


def known() -> dict[str, Any]:
    """What was measured before."""
    path = RESULTS / f"{NAME}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def conditions(pairs: int) -> dict[str, Any]:
    """What was trained on, and where."""
    return {
        "pairs": pairs,
        "batch": BATCH,
        "max_tokens": TOKENS,
        "machine": {"processor": platform.processor(), "cores": os.cpu_count()},
        "load_average": os.getloadavg(),
    }


def ratios_over(rounds: list[dict[str, Any]], others: Sequence[str]) -> dict[str, float]:
    """Median over the rounds of ours' pairs a second over each other's."""
    return {
        other: round(
            statistics.median(
                r["ours"]["pairs_per_second"] / r[other]["pairs_per_second"] for r in rounds
            ),
            3,
        )
        for other in others
    }


def summary(rounds: list[dict[str, Any]], limit: float) -> dict[str, Any]:
    """Median ratios, the share of the limit, and how dev differs."""
    ours = statistics.median(r["ours"]["pairs_per_second"] for r in rounds)
    gflop = rounds[0]["ours"]["gflop_per_pair"]
    return {
        "ratios": ratios_over(rounds, SIDES[:-1]),
        "ours_pairs_per_second": round(ours, 2),
        "share_of_matrix_limit": round(ours * gflop / limit, 3),
        "rounds": rounds,
    }


def compare_dev(sides: dict[str, Any]) -> dict[str, Any]:
    """Ours less each other's dev MRR with 95 % intervals; replaces the ranks by their mean."""
    import numpy as np
    from scipy.stats import bootstrap

    ranks = {side: np.array(run.pop("dev_ranks")) for side, run in sides.items()}
    for side, run in sides.items():
        run["dev_mrr"] = round(float(ranks[side].mean()), 4)
    found = {}
    for other in ranks.keys() - {"ours"}:
        change = ranks["ours"] - ranks[other]
        low = high = 0.0
        if change.any():
            low, high = bootstrap((change,), np.mean, rng=SEED).confidence_interval
        found[other] = [round(float(value), 4) for value in (change.mean(), low, high)]
    return found


def print_round(model: str, sides: dict[str, Any]) -> None:
    """One line a side."""
    for side, run in sorted(sides.items()):
        print(
            f"{model.rsplit('/', 1)[-1]:<26}{side:<22}{run['pairs_per_second']:6.2f} pairs/s  "
            f"peak {run['peak_memory_mb']} MB  dev MRR@10 {run['dev_mrr']:.3f}",
            flush=True,
        )


def in_process(side: str, model: str, batch: int, pairs: int) -> Any:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--pairs", str(pairs), "--run", side, model, str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run(side: str, name: str, batch: int, count: int) -> dict[str, Any]:
    """Train one side and rank the dev questions with what it made."""
    from rag_app.models import load_model

    for module in MODULES:
        importlib.import_module(module)
    pairs, dev = pairs_and_dev(count)
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(__file__).parents[1] / "work" / "speed"
        base = load_model(name, storage=storage, device="cpu")
        started, used = time.perf_counter(), time.process_time()
        target = TRAINERS[side](base, pairs, Path(folder), batch)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6
        ranks = reciprocal_ranks(base, target, dev)
    tokens = [
        min(TOKENS, n) for texts in zip(*pairs, strict=True) for n in base.count_tokens(list(texts))
    ]
    return {
        "pairs_per_second": round(len(pairs) / seconds, 3),
        "seconds": round(seconds, 2),
        # Of all threads; where others use the machine it says more than the clock.
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_memory_mb": peak,
        "dev_ranks": ranks,
        # Forward once and backward twice, a multiplication and an addition for each weight.
        "gflop_per_pair": 6 * layer_weights(base) * sum(tokens) / len(pairs) / 1e9,
    }


def pairs_and_dev(count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Question/answer pairs of the English FAQ, one for each answer: for training and for dev."""
    import csv

    corpus = load("jhu")
    with corpus.questions.open(encoding="utf-8", newline="") as file:
        rows = {row["answer"]: row["question"] for row in csv.DictReader(file)}
    pairs = [(question, answer) for answer, question in rows.items() if len(answer.split()) > 7]
    return pairs[:count], pairs[-DEV:]


def layer_weights(base: Any) -> int:
    """Weights of the layers' matrices."""
    inner = base.transformer[0].auto_model.encoder
    return sum(weights.numel() for weights in inner.parameters() if weights.ndim == 2)


def reciprocal_ranks(base: Any, folder: Path, dev: list[tuple[str, str]]) -> list[float]:
    """Of each dev question's answer among the dev answers, with the base's prompts."""
    from sentence_transformers import SentenceTransformer

    from rag_app.evaluate.ranks import reciprocal_rank
    from rag_app.vectors import nearest

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model.max_seq_length = base.max_tokens
    questions, answers = (
        model.encode(list(texts), prompt=prompt or None, normalize_embeddings=True)
        for texts, prompt in zip(
            zip(*dev, strict=True), (base.prompts.query, base.prompts.passage), strict=True
        )
    )
    rows, _ = nearest(questions, answers, 10)
    return [reciprocal_rank(row, frozenset([place])) for place, row in enumerate(rows.tolist())]


def train_ours(
    base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int, *, padded: bool = False
) -> Path:
    """Our engine."""
    from rag_app.finetune.options import TrainingOptions, TrainingRow
    from rag_app.finetune.train.engine import EmbeddingFinetuneEngine

    rows = [TrainingRow(question, answer, answer) for question, answer in pairs]
    options = TrainingOptions(
        epochs=1,
        batch_size=batch,
        mini_batch=BATCH,
        max_tokens=TOKENS,
        seed=SEED,
        learning_rate=2e-5,
        scale=1 / base.temperature,
        blend=1.0,
    )
    target = folder / "ours"
    EmbeddingFinetuneEngine(
        base, rows, dev=None, target=target, options=options, padded=padded
    ).finetune()
    return target


def train_padded(base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int) -> Path:
    """Our engine on padded texts, as for a family of models that cannot read packed ones."""
    return train_ours(base, pairs, folder, batch, padded=True)


def train_padded_bf16(
    base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int, *, attention: str = "sdpa"
) -> Path:
    """Our engine on padded texts whose hidden states stay in bfloat16, as packed ones do."""
    from rag_app.finetune.train import packed

    def hidden_states_alone(model: Any, *_: Any, **__: Any) -> bool:
        model[0].auto_model.set_attn_implementation(attention)
        packed.keep_autocast_type(model)
        return False

    with mock.patch(PACK, hidden_states_alone):
        return train_ours(base, pairs, folder, batch)


def train_padded_eager(base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int) -> Path:
    """The same with eager attention."""
    return train_padded_bf16(base, pairs, folder, batch, attention="eager")


def train_plain(base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int) -> Path:
    """sentence-transformers' trainer as its documentation shows it, in float32."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(base.folder), device="cpu", local_files_only=True)
    model.max_seq_length = TOKENS
    questions, answers = zip(*pairs, strict=True)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(folder / "plain"),
            num_train_epochs=1,
            per_device_train_batch_size=batch,
            learning_rate=2e-5,
            seed=SEED,
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
            report_to=[],
        ),
        train_dataset=Dataset.from_dict({"anchor": questions, "positive": answers}),
        loss=MultipleNegativesRankingLoss(model),
    )
    trainer.train()
    model.save_pretrained(str(folder / "plain"))
    return folder / "plain"


def train_sentence_transformers(
    base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int
) -> Path:
    """sentence-transformers' trainer with the prompts, temperature and bfloat16 of ours."""
    from rag_app.models.device import has_bf16

    train_stock(
        base,
        pairs,
        folder / "stock",
        dev=None,
        epochs=1,
        batch_size=batch,
        learning_rate=2e-5,
        warmup_share=0.1,
        bf16=has_bf16("cpu"),
        seed=SEED,
        max_tokens=TOKENS,
    )
    return folder / "stock"


def train_by_llama_index(base: Any, pairs: list[tuple[str, str]], folder: Path, batch: int) -> Path:
    """LlamaIndex's engine with its defaults but for what all sides share."""
    return train_llama_index(
        base, pairs, folder / "stock", max_tokens=TOKENS, batch_size=batch, epochs=1
    )


TRAINERS = {
    "ours": train_ours,
    "padded": train_padded,
    "padded_bf16": train_padded_bf16,
    "padded_eager": train_padded_eager,
    "plain": train_plain,
    "sentence_transformers": train_sentence_transformers,
    "llama_index": train_by_llama_index,
}


def matrix_limit() -> float:
    """GFLOP/s of bfloat16 products of the sizes that MiniLM and e5-small have."""
    import torch

    tokens, width, inner = BATCH * TOKENS, 384, 1536
    x = torch.randn(tokens, width, dtype=torch.bfloat16)
    weights = torch.randn(inner, width, dtype=torch.bfloat16)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(20):
            torch.nn.functional.linear(x, weights)
        seconds = (time.perf_counter() - started) / 20
        best = max(best, 2 * tokens * width * inner / seconds / 1e9)
    return round(best, 1)


def on_gpu() -> None:
    """The 2023 training on a GPU: seconds, memory and TFLOP/s."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("skipped: no GPU here; run this command where torch sees one")
    from rag_app.finetune.options import TrainingOptions, TrainingRow
    from rag_app.finetune.train.engine import EmbeddingFinetuneEngine
    from rag_app.models import EmbeddingModel, load_model

    storage = Path(__file__).parents[1] / "work" / "speed"
    values: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        minilm = load_model(MINILM, storage=storage, device="cpu")
        base = EmbeddingModel("roberta-base-sized", random_roberta(minilm, Path(folder)))
        pairs, _ = pairs_and_dev(GPU_PAIRS)
        rows = [TrainingRow(question, answer, answer) for question, answer in pairs]
        tokens = [min(TOKENS, n) for t in zip(*pairs, strict=True) for n in base.count_tokens(t)]
        # The first epoch alone also tells what a process pays once, such as loading kernels.
        for epochs in (1, GPU_EPOCHS):
            options = TrainingOptions(epochs=epochs, batch_size=BATCH, max_tokens=TOKENS, seed=SEED)
            target = Path(folder) / f"tuned-{epochs}"
            engine = EmbeddingFinetuneEngine(base, rows, dev=None, target=target, options=options)
            torch.cuda.reset_peak_memory_stats()
            engine.finetune()
            report = engine.finished_report()
            flop = 6 * layer_weights(base) * sum(tokens) * epochs
            values[f"{epochs} epochs"] = {
                "pairs": len(rows),
                "seconds": report.seconds,
                "peak_memory_mb": report.peak_memory_mb,
                "tflops": round(flop / report.seconds / 1e12, 2),
                "last_loss": report.losses[-1],
            }
    print(json.dumps(values))
    write_results("finetune_speed_gpu", values)


def random_roberta(minilm: Any, folder: Path) -> Path:
    """A sentence-transformers folder: RoBERTa-base with random weights, and MiniLM's tokenizer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import RobertaConfig, RobertaModel

    tokenizer = minilm.transformer.tokenizer
    config = RobertaConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    RobertaModel(config).save_pretrained(folder / "inner")
    tokenizer.save_pretrained(folder / "inner")
    inner = Transformer(str(folder / "inner"), max_seq_length=256)
    model = SentenceTransformer(modules=[inner, Pooling(config.hidden_size)], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


if __name__ == "__main__":
    main()
