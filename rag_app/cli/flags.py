"""Flags that several commands share, and the panels that a help page shows them in."""

from pathlib import Path
from typing import Annotated, Any

import typer

SEARCH = "Search"
LANGUAGE_MODEL = "Language model"
DATA = "Data"
COMMON = "Common"
SERVER = "Chroma server"

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
DocumentPaths = Annotated[list[Path], typer.Argument(help="Files and folders of documents.")]
NewModel = Annotated[
    str | None,
    typer.Option(
        "--model", help="Embedding model: a name or a folder. [all-MiniLM-L6-v2, English]"
    ),
]
ChunkSize = Annotated[int | None, typer.Option(help="Chunk size in tokens of the model. [256]")]
Preset = Annotated[str | None, typer.Option(help="quick: one or two epochs, minutes on a CPU.")]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda or mps. [auto]", rich_help_panel=COMMON)
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
Ocr = Annotated[
    str | None,
    typer.Option(
        metavar="LANGUAGES",
        help="Read pages of PDFs without text by OCR, with tesseract: kor+eng. [not read]",
        rich_help_panel=DATA,
    ),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Metadata of each document that is read, for --where; may be repeated. A document's "
        "own field wins; the next ingest without the option removes it.",
        rich_help_panel=DATA,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Random seed: the same inputs and seed give the same figures. [13]",
        rich_help_panel=COMMON,
    ),
]


def _server(help: str, *names: str) -> Any:  # noqa: A002 - as Typer calls it
    return typer.Option(*names, help=help, rich_help_panel=SERVER)


# Every command has them; without --chroma-url they mean nothing.
SERVER_OPTIONS: dict[str, Any] = {
    "chroma_url": Annotated[
        str | None,
        _server("URL of a Chroma server that holds the indexes. [embedded Chroma in --storage]"),
    ],
    "project": Annotated[
        str | None, _server("Project whose indexes they are. [made from --storage]")
    ],
    "chroma_token": Annotated[
        str | None, _server("Bearer token; better kept in RAG_APP_CHROMA_TOKEN.")
    ],
    "chroma_headers": Annotated[
        list[str] | None,
        _server("Header of each request, NAME: VALUE; may be repeated.", "--chroma-header"),
    ],
    "chroma_tenant": Annotated[str | None, _server("Tenant. [default_tenant]")],
    "chroma_database": Annotated[str | None, _server("Database. [default_database]")],
}
