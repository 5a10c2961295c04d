"""How a tuned model is loaded elsewhere with the vectors that were judged."""

from pathlib import Path

from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.finetune.loading import llama_index_code, of_plain_encode, sentence_transformers_code
from rag_app.report.blocks import Block, Listing, Paragraph, Section
from rag_app.report.values import FinetuneValues


def loading_section(values: FinetuneValues) -> Section | None:
    """The lines that load an embedding model, and what plain encode gives; None of a reranker."""
    if values.is_reranker:
        return None
    blocks: list[Block] = []
    for library, lines in (
        ("sentence-transformers", sentence_transformers_code(Path(values.model))),
        ("LlamaIndex", llama_index_code(Path(values.model))),
    ):
        blocks += [
            Paragraph(f"As it was judged, in {library}:"),
            Listing("\n".join(lines), "python"),
        ]
    if values.plain_encode is not None:
        plain, tuned = values.plain_encode[PRIMARY_METRIC], values.tuned_vector[PRIMARY_METRIC]
        blocks.append(Paragraph(of_plain_encode(plain, tuned)))
    return Section("Loading the tuned model", blocks)
