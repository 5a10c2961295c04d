"""Prompts and temperatures by a model's name, and what is said of a model that is of no family."""

import shutil
from pathlib import Path

import pytest
from tiny import make_tiny_model

from rag_app.index import Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models import EmbeddingModel, Prompts
from rag_app.models.families import FAMILIES, Family, find_family

SEARCH = Prompts("Represent this sentence for searching relevant passages: ")
INSTRUCT = Prompts(
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
)
NONE = Prompts()
KNOWN = {
    "intfloat/e5-small-v2": Family(Prompts("query: ", "passage: "), 0.01),
    "intfloat/e5-large": Family(Prompts("query: ", "passage: "), 0.01),
    "intfloat/multilingual-e5-base": Family(Prompts("query: ", "passage: "), 0.01),
    "multilingual-e5-small-q4": Family(Prompts("query: ", "passage: "), 0.01),
    "intfloat/multilingual-e5-large-instruct": Family(INSTRUCT, 0.01),
    "intfloat/e5-mistral-7b-instruct": Family(INSTRUCT, 0.02),
    "nlpai-lab/KoE5": Family(Prompts("query: ", "passage: "), 0.05),
    "BAAI/bge-small-en-v1.5": Family(SEARCH, 0.02),
    "BAAI/bge-base-zh-v1.5": Family(Prompts("为这个句子生成表示以用于检索相关文章："), 0.02),
    "BAAI/bge-m3": Family(NONE, 0.02),
    "nlpai-lab/KURE-v1": Family(NONE, 0.01),
    "Alibaba-NLP/gte-Qwen2-1.5B-instruct": Family(INSTRUCT, 0.01),
    "Alibaba-NLP/gte-multilingual-base": Family(NONE, 0.01),
    "thenlper/gte-large": Family(NONE, 0.01),
    "Snowflake/snowflake-arctic-embed-l-v2.0": Family(Prompts("query: "), 0.02),
    "Snowflake/snowflake-arctic-embed-m-v1.5": Family(SEARCH, 0.02),
    "Snowflake/snowflake-arctic-embed-xs": Family(SEARCH, 0.02),
    "nomic-ai/nomic-embed-text-v1.5": Family(Prompts("search_query: ", "search_document: "), 0.02),
    "nomic-ai/modernbert-embed-base": Family(Prompts("search_query: ", "search_document: "), 0.02),
    "mixedbread-ai/mxbai-embed-large-v1": Family(SEARCH),
    "mixedbread-ai/mxbai-embed-xsmall-v1": Family(),
    "MongoDB/mdbr-leaf-ir": Family(SEARCH),
    "google/embeddinggemma-300m": Family(
        Prompts("task: search result | query: ", "title: none | text: ")
    ),
    "Qwen/Qwen3-Embedding-0.6B": Family(Prompts(INSTRUCT.query.rstrip(" "))),
    "jinaai/jina-embeddings-v2-base-en": Family(),
    "jinaai/jina-embeddings-v3": Family(
        Prompts(
            "Represent the query for retrieving evidence documents: ",
            "Represent the document for retrieval: ",
        )
    ),
    "ibm-granite/granite-embedding-278m-multilingual": Family(),
    "sentence-transformers/static-retrieval-mrl-en-v1": Family(),
    "minishlab/potion-base-8M": Family(),
    "sentence-transformers/all-MiniLM-L6-v2": Family(),
    "jhgan/ko-sroberta-multitask": Family(),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_family_has_what_its_card_says(name: str) -> None:
    assert find_family(name) == KNOWN[name]


def test_every_rule_has_a_model_here() -> None:
    used = {id(find_family(name)) for name in KNOWN}
    assert [pattern for pattern, family in FAMILIES.items() if id(family) not in used] == []


@pytest.mark.parametrize(
    "name",
    [
        "acme/foo-e5-base",
        "acme/e5-x",
        "acme/bge-m30",
        "acme/bge-base-enriched",
        "acme/my-gte-base",
        "acme/smallall-x",
        "acme/tiny",
    ],
)
def test_a_name_that_only_holds_a_familys_is_of_none(name: str) -> None:
    assert find_family(name) is None


@pytest.mark.parametrize(
    "name",
    ["storage/models/BAAI__bge-m3", "/models/bge-m3/", "bge-m3-256d", "bge-m3-mnrl-0a1b2c3d"],
)
def test_a_folder_and_what_is_made_of_a_model_are_of_its_family(name: str) -> None:
    assert find_family(name) == Family(NONE, 0.02)


def test_the_folder_is_read_first(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "own", prompts={"query": "ask: ", "document": ""})
    model = EmbeddingModel("intfloat/e5-small", folder, device="cpu")
    assert (model.prompts, model.temperature) == (Prompts("ask: "), 0.01)
    assert EmbeddingModel("acme/own", folder, device="cpu").assumption is None


def test_an_unknown_model_is_said_to_be_taken_without_prompts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "storage", device="cpu")
    make_tiny_model(workspace.models / "acme")
    shutil.copytree(workspace.models / "acme", workspace.models / "BAAI__bge-m3")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("parcels go by freight", "utf-8")

    def told(model: str) -> list[str]:
        heard: list[str] = []
        options = IndexOptions(model, chunk_size=32, chunk_overlap=0)
        ingest(workspace, IngestRequest([tmp_path / "docs"], options=options), tell=heard.append)
        return heard

    [sentence] = told("acme")
    assert sentence.startswith("nothing is known of how acme was trained, so no prompts")
    assert "temperature 0.05" in sentence
    # Once is enough, and of a family enough is known.
    assert told("acme") == []
    assert told("BAAI/bge-m3") == []
