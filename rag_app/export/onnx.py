"""A model as an ONNX graph, held against the model itself before anybody gets it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag_app.disk import whole_folder, write_whole
from rag_app.errors import ConfigError, ModelError
from rag_app.export.folder import CARD, said_by_card
from rag_app.export.likeness import Exported, hold_against, refuse_certain_loss
from rag_app.index import Passages
from rag_app.models import EmbeddingModel
from rag_app.models.exported import SETTINGS_FILE
from rag_app.models.onnx import (
    GRAPH,
    PASSAGE,
    QUERY,
    TOKENIZER,
    OnnxModel,
    write_onnx,
)
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.index import VectorCache
    from rag_app.pairs import Question

# Rounding, that of bfloat16 included, moves vectors by less; below, it is another model.
LEAST_COSINE = 0.999


def export_onnx(
    model: EmbeddingModel,
    target: Path,
    passages: Passages,
    questions: "Sequence[Question]",
    *,
    int8: bool = False,
    cache: "VectorCache",
    seed: int = 13,
    progress: Progress = silent,
) -> Exported:
    """Write a model as ONNX into a folder, whole or not at all.

    Arguments:
        passages: that the graph is compared on, with any model's vectors.
        questions: labelled ones, which 8-bit weights are judged by.
    Raises:
        ConfigError: something else than an earlier export is there; 8-bit weights without
            questions.
        ModelError: the model begins with no transformer; the graph gives other vectors, or with
            8-bit weights certainly finds less.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / GRAPH).is_file():
        raise ConfigError(f"{target} holds something else than an ONNX model; name a new folder")
    if int8 and not questions:
        raise ConfigError("--int8 needs --questions FILE, to measure what 8-bit weights lose")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target, hidden=True) as partial:
        partial.mkdir(exist_ok=True)
        progress(f"writing {model.name} as ONNX: one to three minutes", 0, 0)
        write_onnx(model, partial, int8=int8)
        found = hold_against(
            model,
            OnnxModel(partial),
            passages,
            questions,
            cache=cache,
            seed=seed,
            progress=progress,
        )
        cosines = np.concatenate([found.passages, found.questions])
        if not int8 and cosines.min() < LEAST_COSINE:
            raise ModelError(
                f"the exported graph gives other vectors than {model.name} (cosine "
                f"{cosines.min():.4f}); nothing was written"
            )
        if found.comparison:
            refuse_certain_loss(found.comparison, "8-bit weights", "export without --int8")
        write_whole(partial / CARD, card(model, target, int8=int8))
        size = (partial / GRAPH).stat().st_size
    cosine_mean, cosine_min = float(cosines.mean()), float(cosines.min())
    return Exported(target, size, cosine_mean, cosine_min, found.comparison)


def onnx_code(model: EmbeddingModel, folder: Path) -> list[str]:
    """Lines that embed a question and a passage with onnxruntime and tokenizers alone."""
    query = QUERY if model.has_query_map else PASSAGE
    texts = [
        json.dumps(prompt + text, ensure_ascii=False)
        for prompt, text in (
            (model.prompts.query, "your question"),
            (model.prompts.passage, "your passage"),
        )
    ]
    return [
        "import numpy as np",
        "import onnxruntime",
        "from tokenizers import Tokenizer",
        "",
        f'session = onnxruntime.InferenceSession("{(folder / GRAPH).as_posix()}")',
        f'tokenizer = Tokenizer.from_file("{(folder / TOKENIZER).as_posix()}")',
        "",
        "def embed(texts, output):",
        "    encoded = tokenizer.encode_batch(texts)",
        "    ids = np.array([one.ids for one in encoded])",
        "    mask = np.array([one.attention_mask for one in encoded])",
        '    return session.run([output], {"input_ids": ids, "attention_mask": mask})[0]',
        "",
        f'queries = embed([{texts[0]}], "{query}")',
        f'passages = embed([{texts[1]}], "{PASSAGE}")',
    ]


def card(model: EmbeddingModel, folder: Path, *, int8: bool) -> str:
    """The README of an exported folder, with what the model's own card says below."""
    kind = "with 8-bit weights" if int8 else "in float32"
    code = "\n".join(onnx_code(model, folder))
    return (
        f"# {model.name} as ONNX, {kind}\n\n`{GRAPH}` takes token ids and gives unit vectors of "
        f"{model.dimension} numbers; prompts and limits stand in `{SETTINGS_FILE}`.\n\n"
        f"```python\n{code}\n```\n\n{said_by_card(model.folder)}\n"
    )
