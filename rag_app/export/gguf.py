"""A model as GGUF, held against the model itself before anybody gets it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_app.disk import whole_folder, write_whole
from rag_app.errors import ConfigError, ModelError
from rag_app.export.folder import CARD, said_by_card
from rag_app.finetune.loading import quoted
from rag_app.models import EmbeddingModel
from rag_app.models.exported import SETTINGS_FILE
from rag_app.models.gguf import ADAPTER, GGUF, write_gguf
from rag_app.models.gguf_engine import GgufModel
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors, row_cosines

# Rounding to 16 bits moves vectors by less; below, it is another model.
LEAST_COSINE = 0.999
# What Ollama makes a model of.
MODELFILE = "Modelfile"
MOST_COMPARED = 100
QUESTION_WORDS = 12


@dataclass(frozen=True)
class ExportedGguf:
    """A GGUF, and how near llama.cpp's vectors are to the model's.

    Fields:
        passages, questions: how many texts were compared as each.
        passage_cosine, question_cosine: the least of them.
    """

    folder: Path
    bytes: int
    passages: int
    questions: int
    passage_cosine: float
    question_cosine: float

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "folder": str(self.folder),
            "bytes": self.bytes,
            "passages": self.passages,
            "questions": self.questions,
            "passage_cosine_min": self.passage_cosine,
            "question_cosine_min": self.question_cosine,
        }


def export_gguf(
    model: EmbeddingModel,
    target: Path,
    passages: Sequence[str],
    questions: Sequence[str],
    *,
    progress: Progress = silent,
) -> ExportedGguf:
    """Write a model as GGUF into a folder, whole or not at all.

    Arguments:
        passages, questions: that llama.cpp's vectors are compared on, as many as MOST_COMPARED of
            each; those that are longer than what the model reads are left out.
    Raises:
        ConfigError: something else than an earlier export is there.
        ModelError: a model of a kind that llama.cpp does not know, or other vectors there.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / GGUF).is_file():
        raise ConfigError(f"{target} holds something else than a GGUF model; name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target, hidden=True) as partial:
        partial.mkdir(exist_ok=True)
        progress(f"writing {model.name} as GGUF: about a minute", 0, 0)
        write_gguf(model, partial)
        found = _compared(model, partial, passages, questions, progress)
        write_whole(partial / MODELFILE, modelfile(model))
        write_whole(partial / CARD, card(model, target))
        size = (partial / GGUF).stat().st_size
    read, asked = found
    return ExportedGguf(target, size, len(read), len(asked), float(read.min()), float(asked.min()))


def beginnings(passages: Sequence[str]) -> list[str]:
    """The first words of passages, as long as a question is."""
    return [" ".join(text.split()[:QUESTION_WORDS]) for text in passages]


def _compared(
    model: EmbeddingModel,
    folder: Path,
    passages: Sequence[str],
    questions: Sequence[str],
    progress: Progress,
) -> tuple[Vectors, Vectors]:
    """Cosines of passages and of questions.

    Raises:
        ModelError: one is too low; names the text.
    """
    theirs = GgufModel(folder)
    read, asked = _short(model, passages), _short(model, questions)
    progress(f"comparing llama.cpp's vectors of {len(read)} passages with the model's", 0, 0)
    mine, other = model.embed_passages(read), theirs.embed_passages(read, progress=progress)
    of_passages = row_cosines(mine, other)
    of_questions = row_cosines(model.embed_queries(asked), theirs.embed_queries(asked))
    for texts, cosines in ((read, of_passages), (asked, of_questions)):
        if not len(texts):
            raise ModelError("there is no text that is short enough to compare the model on")
        if cosines.min() < LEAST_COSINE:
            text = texts[int(cosines.argmin())][:60]
            raise ModelError(
                f"llama.cpp gives other vectors than {model.name} (cosine {cosines.min():.4f} for "
                f"{text!r}): its tokenizer may read texts of this language otherwise; nothing was "
                "written, and `rag-app export onnx` writes the same vectors"
            )
    return of_passages, of_questions


def _short(model: EmbeddingModel, texts: Sequence[str]) -> list[str]:
    """The first texts of those that the model reads whole; of others llama.cpp reads more."""
    return [
        text
        for text, tokens in zip(texts, model.count_tokens(texts), strict=True)
        if tokens <= model.max_tokens
    ][:MOST_COMPARED]


def gguf_code(model: EmbeddingModel, folder: Path) -> list[str]:
    """Lines that embed a question and a passage with llama.cpp and NumPy alone."""
    prompts = model.prompts
    query, passage = (
        json.dumps(text, ensure_ascii=False)
        for text in (f"{prompts.query}your question", f"{prompts.passage}your passage")
    )
    cut = f"[:, :{model.dimension}]" if model.dimension != model.full_dimension else ""
    embedded = f"embed([{query}])"
    return [
        "import numpy as np",
        "import xllamacpp",
        "",
        "params = xllamacpp.CommonParams()",
        f"params.model.path = {quoted(folder / GGUF)}",
        "params.embedding, params.n_parallel, params.port = True, 1, 0",
        f"params.n_ctx = params.n_batch = params.n_ubatch = {model.max_tokens}",
        "server = xllamacpp.Server(params)",
        "",
        "def embed(texts):",
        '    found = server.handle_embeddings({"input": texts})["data"]',
        f'    vectors = np.array([one["embedding"] for one in found], np.float32){cut}',
        "    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)",
        "",
        *(_adapter_code(folder) if model.has_query_map else []),
        f"queries = {f'adapt({embedded})' if model.has_query_map else embedded}",
        f"passages = embed([{passage}])",
    ]


def _adapter_code(folder: Path) -> list[str]:
    return [
        f"adapter = np.load({quoted(folder / ADAPTER)})",
        "",
        "def adapt(vectors):",
        '    moved = vectors + vectors @ adapter["change"].T',
        "    return moved / np.linalg.norm(moved, axis=1, keepdims=True)",
        "",
    ]


def modelfile(model: EmbeddingModel) -> str:
    """What `ollama create` reads: the GGUF beside it, and how much of a text the model takes."""
    return f"FROM ./{GGUF}\nPARAMETER num_ctx {model.max_tokens}\n"


def card(model: EmbeddingModel, folder: Path) -> str:
    """The README of an exported folder, with what the model's own card says below."""
    adapter = (
        f"`{ADAPTER}` is the query adapter: questions pass through it, passages do not. "
        if model.has_query_map
        else ""
    )
    code = "\n".join(gguf_code(model, folder))
    return (
        f"# {model.name} as GGUF\n\n`{GGUF}` is the encoder for llama.cpp, with its tokenizer and "
        f"its pooling; matrices have 16 bits. {adapter}llama.cpp puts no prompt before a text and "
        f"does not cut one that is too long: the prompts stand in `{SETTINGS_FILE}`, and the model "
        f"was judged on the first {model.max_tokens} tokens of a text.\n\n"
        f"```python\n{code}\n```\n\nFor Ollama: `ollama create NAME -f {MODELFILE}`. It gives what "
        "llama.cpp gives; prompts and adapter are yours to apply, too.\n\n"
        f"{said_by_card(model.folder)}\n"
    )
