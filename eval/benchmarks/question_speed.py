"""Questions a second: LlamaIndex's generate_qa_embedding_pairs against ours, in one process.

    python eval/benchmarks/question_speed.py [--passages 40] [--rounds 3] [--prompt completion]

One local server, the same passages, one question each, the same token limit, in turns. LlamaIndex's
own prompt is an instruction (`--prompt default`); `completion` is one that a base model goes on
from. Its function has no stop string, so a base model writes on to the token limit; `--stop` gives
it the one that ours uses, which is as well as it can do.
Only questions with text in them count, on either side.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora import load, write_results

from rag_app.environment import prepare_environment

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.llm.chat import ChatModel

COMPLETION_PROMPT = (
    "Passage: Campfires are allowed in the iron rings; bring your own wood or buy a bag.\n"
    "Customer question: are we allowed to have a fire?\n\n"
    "Passage: {context_str}\nCustomer question:"
)
CHUNK_TOKENS = 256
SEED = 13


def main() -> None:
    """Time both in turns, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", choices=("completion", "default"), default="completion")
    parser.add_argument("--stop", action="store_true", help="end LlamaIndex's answers at a line")
    arguments = parser.parse_args()
    prepare_environment()
    from rag_app.llm.choose import LanguageModelOptions, open_language_model

    nodes = passages(arguments.passages)
    with tempfile.TemporaryDirectory() as folder:
        options = LanguageModelOptions("local", timeout_seconds=600, models=Path(folder) / "models")
        model = open_language_model(options)
        if model is None:
            raise SystemExit("skipped: no local language model is installed")
        with model:
            rounds = race(model, nodes, arguments)
    ratio = statistics.median(r["ratio"] for r in rounds)
    print(f"{len(nodes)} questions a side and round, median ratio {ratio:.2f}")
    write_results(
        "question_speed",
        {
            "passages": len(nodes),
            "prompt": arguments.prompt,
            "stock_stop": arguments.stop,
            "generator": model.name,
            "slots": model.concurrency,
            "rounds": rounds,
            "median_ratio": ratio,
            "machine": {"processor": platform.processor(), "cores": os.cpu_count()},
            "load_average": os.getloadavg(),
        },
    )


def passages(count: int) -> list["TextNode"]:
    """Every n-th chunk of the English public-health FAQ."""
    from rag_app.chunks import Chunking, SentenceChunker
    from rag_app.documents import read_documents
    from rag_app.models import load_model

    corpus = load("jhu")
    reading = read_documents([corpus.documents], question_column="question", answer_column="answer")
    embedding = load_model(corpus.model, storage=corpus.documents.parent, device="cpu")
    chunker = SentenceChunker.for_model(embedding, Chunking(CHUNK_TOKENS, 32))
    nodes: list[Any] = list(chunker.get_nodes_from_documents(reading.documents))
    return nodes[:: max(1, len(nodes) // count)][:count]


def race(
    model: "ChatModel", nodes: Sequence["TextNode"], arguments: argparse.Namespace
) -> list[dict[str, float]]:
    """Run both sides in turns; who begins changes from round to round."""
    measured = []
    sides: dict[str, Callable[[], int]] = {
        "llama_index": lambda: stock(model, nodes, arguments.prompt, stop=arguments.stop),
        "ours": lambda: ours(model, nodes),
    }
    for number in range(arguments.rounds):
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        rates = {}
        for side in order:
            started = time.perf_counter()
            written = sides[side]()
            rates[side] = written / (time.perf_counter() - started)
        ratio = rates["ours"] / rates["llama_index"]
        print(
            f"round {number + 1}: llama_index {rates['llama_index']:.2f}/s   "
            f"ours {rates['ours']:.2f}/s   ratio {ratio:.2f}",
            flush=True,
        )
        measured.append({**rates, "ratio": ratio})
    return measured


def stock(model: "ChatModel", nodes: Sequence["TextNode"], prompt: str, *, stop: bool) -> int:
    """LlamaIndex's own loop; returns the number of questions it wrote."""
    from llama_index.finetuning import generate_qa_embedding_pairs

    from rag_app.questions.prompts import MAX_TOKENS, TEMPERATURE

    llm = model.as_llama_index()
    llm.max_tokens = MAX_TOKENS
    llm.temperature = TEMPERATURE
    llm.additional_kwargs = {"seed": SEED, **({"stop": ["\n"]} if stop else {})}
    chosen = {"qa_generate_prompt_tmpl": COMPLETION_PROMPT} if prompt == "completion" else {}
    # It reads any file that it finds at output_path, so each round gets a path of its own.
    with tempfile.TemporaryDirectory() as folder:
        written = generate_qa_embedding_pairs(
            list(nodes),
            llm=llm,
            num_questions_per_chunk=1,
            output_path=str(Path(folder) / "pairs.json"),
            verbose=False,
            **chosen,
        )
    return len(written.queries)


def ours(model: "ChatModel", nodes: Sequence["TextNode"]) -> int:
    """The same passages through the stage's writer; returns the number of questions."""
    from rag_app.chunks import passage_text
    from rag_app.questions.extract import Worded
    from rag_app.questions.rarity import Rarity
    from rag_app.questions.writers import ModelWriter

    written: dict[int, list[Worded]] = {}
    writer = ModelWriter(model, Rarity(passage_text(node) for node in nodes))
    orders = [(node, range(1)) for node in nodes]
    writer.write(orders, seed=SEED, on_written=written.__setitem__)
    return sum(bool(question.text) for questions in written.values() for question in questions)


if __name__ == "__main__":
    main()
