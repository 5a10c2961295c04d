"""Flags that several commands share, and the panels that a help page shows them in."""

from typing import Annotated

import typer

SEARCH = "Search"
LANGUAGE_MODEL = "Language model"
DATA = "Data"
COMMON = "Common"

Where = Annotated[
    str | None,
    typer.Option(
        help='Metadata filter, such as "category = billing and date >= 2023-06".',
        rich_help_panel=SEARCH,
    ),
]
FetchK = Annotated[
    int | None,
    typer.Option(
        help="Candidates fetched before fusion, reranking and recency. [100]",
        rich_help_panel=SEARCH,
    ),
]
Today = Annotated[
    str | None,
    typer.Option(help="Date that document ages are counted from. [today]", rich_help_panel=SEARCH),
]
Rewrites = Annotated[
    int | None,
    typer.Option(
        help="Queries that multi_query writes for one question. [3]",
        rich_help_panel=LANGUAGE_MODEL,
    ),
]
Llm = Annotated[
    str | None,
    typer.Option(
        help="Language model: auto, none, local or endpoint. [auto]",
        rich_help_panel=LANGUAGE_MODEL,
    ),
]
LlmBaseUrl = Annotated[
    str | None,
    typer.Option(
        help="URL of an OpenAI-compatible endpoint, up to /v1.", rich_help_panel=LANGUAGE_MODEL
    ),
]
LlmModel = Annotated[
    str | None,
    typer.Option(
        help="Model name at that endpoint, or a GGUF file for --llm local.",
        rich_help_panel=LANGUAGE_MODEL,
    ),
]
Dimensions = Annotated[
    int | None,
    typer.Option(
        help="Cut vectors to their first dimensions, as Matryoshka models allow. [all]",
        rich_help_panel=DATA,
    ),
]
QuestionColumn = Annotated[
    str | None,
    typer.Option(help="Column of tables that holds the question. [question]", rich_help_panel=DATA),
]
AnswerColumn = Annotated[
    str | None,
    typer.Option(help="Column of tables that holds the answer. [answer]", rich_help_panel=DATA),
]
ChromaUrl = Annotated[
    str | None,
    typer.Option(
        help="URL of a Chroma server that holds the indexes. [embedded Chroma in --storage]",
        rich_help_panel=COMMON,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Random seed: the same inputs and seed give the same figures. [13]",
        rich_help_panel=COMMON,
    ),
]
