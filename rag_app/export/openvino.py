"""A model whose passages are embedded in 8 bits: its folder with an OpenVINO graph inside."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.chunks import passage_text
from rag_app.disk import whole_folder, write_whole
from rag_app.errors import ConfigError
from rag_app.evaluate.figures import change_with_interval
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.export.folder import CARD, name_anew, refuse_target
from rag_app.export.likeness import Exported, Likeness, hold_against, refuse_certain_loss
from rag_app.index import Passages
from rag_app.models import EmbeddingModel
from rag_app.models.folders import PASSAGE_GRAPH, change_settings, passage_graph
from rag_app.models.openvino import write_passage_graph
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.index import VectorCache
    from rag_app.pairs import Question

# Its section of the card, the last one.
SECTION = "## Passages in 8 bits"


def export_openvino(
    model: EmbeddingModel,
    target: Path,
    passages: Passages,
    questions: "Sequence[Question]",
    *,
    cache: "VectorCache",
    seed: int = 13,
    progress: Progress = silent,
) -> Exported:
    """Copy a model's folder, whole or not at all, with a graph that its passages pass through.

    Arguments:
        model: one that embeds passages with its weights.
        passages: that the graph is calibrated and compared on, with any model's vectors.
        questions: labelled ones, which it is judged by; they pass the weights.
    Raises:
        ConfigError: something else than a model is there, or this model; no questions.
        ModelError: the model begins with no transformer, or certainly finds less so.
    """
    refuse_target(model.folder, target)
    if not questions:
        raise ConfigError(
            "there is no labelled question to judge the graph by; name a file with --questions"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target, hidden=True) as partial:
        shutil.copytree(model.folder, partial, ignore=passage_graph)
        change_settings(partial, prompts=model.prompts.by_task())
        progress(f"writing {model.name} as an OpenVINO graph: one to three minutes", 0, 0)
        texts = [passage_text(node) for node in passages.nodes]
        calibrated = write_passage_graph(model, partial, texts)
        found = hold_against(
            model,
            EmbeddingModel(model.name, partial, device=model.device),
            passages,
            questions,
            cache=cache,
            seed=seed,
            progress=progress,
        )
        assert found.comparison  # noqa: S101 - there are questions
        refuse_certain_loss(
            found.comparison, "passages in 8 bits", "keep the model as it is for these documents"
        )
        _write_card(model, partial, target, section(found, calibrated))
        graph = partial / PASSAGE_GRAPH
        size = sum(file.stat().st_size for file in graph.parent.iterdir())
    cosines = found.passages
    return Exported(target, size, float(cosines.mean()), float(cosines.min()), found.comparison)


def section(found: Likeness, calibrated: int) -> str:
    """What the card says of the graph.

    Arguments:
        calibrated: passages that it was calibrated on.
    """
    measured = (
        f"a vector has a cosine of {found.passages.mean():.4f} on average and of "
        f"{found.passages.min():.4f} at least to that of the weights, on "
        f"{len(found.passages)} passages"
    )
    if compared := found.comparison:
        change = change_with_interval(compared.differences[PRIMARY_METRIC])
        measured += f"; {PRIMARY_METRIC} changes by {change} on {compared.n} labelled questions"
    return (
        f"{SECTION}\n\n`{PASSAGE_GRAPH}` is what passages pass through where rag-app loads this "
        "folder: an OpenVINO graph with 8-bit weights and activations, calibrated on "
        f"{calibrated} passages. Questions pass the weights. As measured at export, {measured}."
        "\n\nsentence-transformers reads the weights alone: ask an index that rag-app made with "
        "this folder by rag-app, or embed its passages again.\n"
    )


def _write_card(model: EmbeddingModel, partial: Path, target: Path, said: str) -> None:
    """The model's own card, its code loading the copy, and the section below."""
    card = partial / CARD
    name_anew(card, target)
    own = card.read_text("utf-8") if card.is_file() else f"# {model.name}\n"
    before = own.partition(f"\n{SECTION}\n")[0].rstrip()
    write_whole(card, f"{before}\n\n{said}")
