"""How a tuned model is loaded with the vectors that were judged, and what plain encode gives."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.evaluate.figures import with_interval

if TYPE_CHECKING:
    from rag_app.evaluate.statistics import Estimate

# Heading of a card's last section, which loads the model from its folder.
USE = "## Use"


def sentence_transformers_code(folder: Path) -> list[str]:
    """Lines that embed with sentence-transformers as the verdict was reached."""
    return [
        "from sentence_transformers import SentenceTransformer",
        "",
        f"model = SentenceTransformer({quoted(folder)})",
        'queries = model.encode_query(["your question"], normalize_embeddings=True)',
        'passages = model.encode_document(["your passage"], normalize_embeddings=True)',
    ]


def llama_index_code(folder: Path) -> list[str]:
    """Lines that embed with LlamaIndex as the verdict was reached."""
    return [
        "from rag_app import Embedding",
        "",
        f"embedding = Embedding({quoted(folder)})  # a LlamaIndex BaseEmbedding",
        'query = embedding.get_query_embedding("your question")',
        'passage = embedding.get_text_embedding("your passage")',
    ]


def of_plain_encode(plain: "Estimate", tuned: "Estimate") -> str:
    """What plain `encode` gives, in words.

    Arguments:
        plain, tuned: MRR@10 with vector search on the same questions, by plain `encode` and as it
            was judged.
    """
    return (
        "Plain encode, which LlamaIndex's HuggingFaceEmbedding calls, leaves out prompts and the "
        f"query adapter. On the same held-out questions its MRR@10 is {with_interval(plain)} "
        f"instead of {with_interval(tuned)}."
    )


def quoted(path: Path) -> str:
    """A path as a string of Python in double quotes, whatever is in the name."""
    return json.dumps(path.as_posix(), ensure_ascii=False)
