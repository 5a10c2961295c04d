"""The lines of code that load a tuned model with the vectors that were judged."""

import json
from pathlib import Path


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


def quoted(path: Path) -> str:
    """A path as a string of Python in double quotes, whatever is in the name."""
    return json.dumps(path.as_posix(), ensure_ascii=False)
