"""What families of embedding models were trained with, by the names of their models.

A folder's own prompts (config_sentence_transformers.json) are read first; this is for those that
name none, and for temperatures, which no folder names.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Prompts:
    """What is put before a query and before a passage."""

    query: str = ""
    passage: str = ""

    def by_task(self) -> dict[str, str]:
        """As sentence-transformers names them."""
        return {"query": self.query, "document": self.passage}


@dataclass(frozen=True)
class Family:
    """What a family of models was trained with.

    Fields:
        temperature: of its contrastive loss. Tuned at another, a model first unlearns the spread of
            its cosines: e5's, trained at .01, lie between .7 and 1.
    """

    prompts: Prompts = Prompts()
    temperature: float = 0.05


_SEARCH = "Represent this sentence for searching relevant passages: "
_TASK = "Given a web search query, retrieve relevant passages that answer the query"
_E5 = Prompts("query: ", "passage: ")
_INSTRUCT = Prompts(f"Instruct: {_TASK}\nQuery: ")
_NOMIC = Prompts("search_query: ", "search_document: ")
_GEMMA = Prompts("task: search result | query: ", "title: none | text: ")

# By the beginning of a model's name without its owner, in lower case; the first that fits counts.
# Prompts are those of the model cards, held against what mteb runs these models with
# (github.com/embeddings-benchmark/mteb, mteb/models/model_implementations, commit a905523).
# Temperatures are of the papers and training files named beside them; where those name none, it
# is .05, sentence-transformers' own.
FAMILIES = {
    # Wang et al. 2024, arXiv 2401.00368.
    r"e5-mistral-7b-instruct": Family(_INSTRUCT, 0.02),
    # Wang et al. 2024, arXiv 2402.05672.
    r"multilingual-e5-large-instruct": Family(_INSTRUCT, 0.01),
    # Wang et al. 2022, arXiv 2212.03533.
    r"(multilingual-)?e5-(small|base|large)": Family(_E5, 0.01),
    # Tuned from e5 with sentence-transformers (its card).
    r"koe5\b": Family(_E5),
    # FlagEmbedding's fine-tuning examples, for these two and bge-m3.
    r"bge-(small|base|large)-en\b": Family(Prompts(_SEARCH), 0.02),
    r"bge-(small|base|large)-zh\b": Family(Prompts("为这个句子生成表示以用于检索相关文章："), 0.02),
    r"bge-m3\b": Family(temperature=0.02),
    # Tuned from bge-m3 with CachedGISTEmbedLoss (its card), whose temperature is .01.
    r"kure-v\d": Family(temperature=0.01),
    # Li et al. 2023, arXiv 2308.03281, and Zhang et al. 2024, arXiv 2407.19669.
    r"gte-qwen": Family(_INSTRUCT, 0.01),
    r"gte-(small|base|large|multilingual|modernbert)\b": Family(temperature=0.01),
    # github.com/snowflakedb/ArcticTraining, projects/arctic_embed.
    r"snowflake-arctic-embed-[ml]-v2": Family(Prompts("query: "), 0.02),
    r"snowflake-arctic-embed-": Family(Prompts(_SEARCH), 0.02),
    # github.com/nomic-ai/contrastors: a fixed logit scale of 50.
    r"(nomic-embed-text|modernbert-embed)-": Family(_NOMIC, 0.02),
    r"mxbai-embed-large": Family(Prompts(_SEARCH)),
    r"mxbai-embed-(xsmall|2d-large)": Family(),
    # Distilled, not contrasted.
    r"mdbr-leaf-": Family(Prompts(_SEARCH)),
    r"embeddinggemma-": Family(_GEMMA),
    # Unlike the others it has no blank after the colon.
    r"qwen3-embedding-": Family(Prompts(_INSTRUCT.query.rstrip(" "))),
    # Günther et al. 2023, arXiv 2310.19923.
    r"jina-embedding(s-v2|-[sbl]-en-v1)": Family(),
    # Sturua et al. 2024, arXiv 2409.10173.
    r"jina-embeddings-v3": Family(
        Prompts(
            "Represent the query for retrieving evidence documents: ",
            "Represent the document for retrieval: ",
        )
    ),
    r"granite-embedding-": Family(),
    r"(static-retrieval|static-similarity|potion)-": Family(),
    # sentence-transformers' own models.
    r"(all|paraphrase|multi-qa|msmarco|distiluse)-": Family(),
    r"ko-(sroberta|sbert)-": Family(),
}


def find_family(name: str) -> Family | None:
    """The family of a model; None if it is of none that is known here.

    Arguments:
        name: of a model or a folder, also one that was tuned here and begins with its base's.

    >>> find_family("BAAI/bge-m3").temperature
    0.02
    >>> find_family("someone/foo-e5-base") is None
    True
    """
    short = re.split(r"/|__", name.rstrip("/"))[-1].lower()
    return next((one for pattern, one in FAMILIES.items() if re.match(pattern, short)), None)
