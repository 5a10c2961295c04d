"""A static model distilled from another: a vector for each token, whose mean is that of a text.

Tulkens and van Dongen 2024, "Model2Vec", github.com/MinishLab/model2vec: each token of the
vocabulary passes the model alone, principal components decorrelate what comes out, and frequent
tokens count less. It needs no text to learn from, and no transformer afterwards.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_app.errors import ModelError
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from rag_app.models.embedding import EmbeddingModel

BATCH = 2048
# Of smooth inverse frequency: Arora et al. 2017, "A simple but tough-to-beat baseline for sentence
# embeddings". The share of a token is that of its rank by Zipf's law; vocabularies are in the order
# of frequency, or nearly. Model2Vec's 1e-4 finds less: MRR@10 .249 against .335 on half of the
# questions of the English sample.
SMOOTH = 1e-5


def distill(base: "EmbeddingModel", target: Path) -> None:
    """Write the static model of another as a sentence-transformers folder.

    Its dimensions are principal components, most important first, so that it can be cut anywhere.

    Arguments:
        target: the folder to make.
    Raises:
        ModelError: the base has no transformer.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    if getattr(base.transformer[0], "auto_model", None) is None:
        raise ModelError(
            f"{base.name} has no transformer to distill a static model from; name another --model"
        )
    vectors = _components(_token_vectors(base))
    vectors *= _weights(len(vectors))[:, np.newaxis]
    # Marks such as [UNK] say nothing.
    vectors[sorted(base.tokenizer.get_added_tokens_decoder())] = 0
    static = StaticEmbedding(base.tokenizer, embedding_weights=vectors)
    model = SentenceTransformer(modules=[static, Normalize()], device="cpu")
    model.save_pretrained(str(target), create_model_card=False)


def _token_vectors(base: "EmbeddingModel") -> Vectors:
    """What the model makes of each token alone: (n_tokens, dimension) float32."""
    import torch

    model = base.transformer
    edges = _edges(base.tokenizer)
    found = []
    for start in range(0, base.tokenizer.get_vocab_size(), BATCH):
        end = min(start + BATCH, base.tokenizer.get_vocab_size())
        ids = torch.tensor([[edges[0], token, edges[1]] for token in range(start, end)])
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        features = {name: values.to(model.device) for name, values in features.items()}
        with torch.inference_mode():
            found.append(model(features)["sentence_embedding"].float().cpu().numpy())
    return np.concatenate(found)


def _edges(tokenizer: "Tokenizer") -> tuple[int, int]:
    """The tokens that stand before and after a text."""
    ids = tokenizer.encode("").ids
    if len(ids) != 2:
        raise ModelError(
            f"the tokenizer puts {len(ids)} tokens around a text, not 2; a static model is "
            "distilled from BERT, RoBERTa and XLM-R models; name another --model"
        )
    return ids[0], ids[1]


def _components(vectors: Vectors) -> Vectors:
    """The same vectors by their principal components: (n, dimension)."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(centred @ axes[:, ::-1], dtype=np.float32)


def _weights(count: int) -> Vectors:
    """Of tokens by rank, (count,): smooth inverse frequency."""
    frequency = 1 / np.arange(2, count + 2)
    share = frequency / frequency.sum()
    return np.asarray(SMOOTH / (SMOOTH + share), dtype=np.float32)
