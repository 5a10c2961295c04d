"""`export`: what was measured and tuned, for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.flags import AnswerColumn, QuestionColumn
from rag_app.cli.given import columns_of, workspace_of
from rag_app.cli.judgements import note_judgements
from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.export.likeness import Exported
    from rag_app.index import Passages, Workspace
    from rag_app.models import EmbeddingModel
    from rag_app.pairs import Question

export_app = typer.Typer(
    help="Write runs, pairs and models for other programs.",
    no_args_is_help=True,
)

Kept = Annotated[
    Path,
    typer.Argument(help="A run: what `evaluate` or `finetune` wrote, as a folder or a file."),
]
Target = Annotated[Path, typer.Argument(help="Folder to write.")]
ExportedModel = Annotated[
    str | None,
    typer.Option(
        "--model", help="Embedding model, by name or folder. [that of the index in service]"
    ),
]


@export_app.command("trec", epilog="Example:\n\nrag-app export trec data/ci trec")
@command
def export_trec(run: Run, kept: Kept, folder: Target) -> None:
    """Write qrels and run files of kept runs, for trec_eval, ir-measures, pytrec_eval or ranx.

    Success@k and RR@10 of them are hit@k and MRR@10.
    """
    from rag_app.disk import refuse_unwritable
    from rag_app.evaluate.stored import read_runs
    from rag_app.evaluate.trec import write_trec

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    files = write_trec(folder, read_runs(kept))
    for file in files:
        run.say(f"{file}")
    run.result({"folder": str(folder), "files": [file.name for file in files]})


@export_app.command("beir", epilog="Example:\n\nrag-app export beir questions.jsonl beir")
@command
def export_beir(
    run: Run,
    questions: Annotated[
        Path,
        typer.Argument(
            help="Questions with their answers: CSV, TSV, XLSX, JSONL, JSON or a BEIR folder."
        ),
    ],
    folder: Target,
    *,
    index: Annotated[
        str | None, typer.Option(help="Index whose chunks are the corpus. [in service]")
    ] = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
) -> None:
    """Write an index's chunks and labelled questions as a BEIR folder.

    corpus.jsonl, queries.jsonl and qrels/test.tsv; BEIR, MTEB and `rag-app evaluate` read it.
    """
    settings = run.settings(question_column=question_column, answer_column=answer_column)
    from rag_app.disk import refuse_unwritable
    from rag_app.evaluate.stage import find_labelled
    from rag_app.pairs import write_beir

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    passages = workspace_of(settings).catalog.open(index).passages()
    pairs, unmatched = find_labelled(questions, passages, columns=columns_of(settings))
    note_judgements(run, questions)
    if unmatched:
        run.warn(str(unmatched))
    write_beir(folder, pairs, passages.nodes)
    run.say(f"{folder}: {len(pairs)} pairs, {len(passages.nodes)} passages")
    run.result(
        {
            "folder": str(folder),
            "pairs": len(pairs),
            "passages": len(passages.nodes),
            "unmatched": unmatched.count,
            "unmatched_example": unmatched.example,
        }
    )


@export_app.command(
    "sentence-transformers",
    epilog="Examples:\n\nrag-app export sentence-transformers my-model\n\n"
    "rag-app export sentence-transformers minilm --model sentence-transformers/all-MiniLM-L6-v2",
)
@command
def export_model(
    run: Run,
    folder: Target,
    *,
    model: ExportedModel = None,
) -> None:
    """Copy a model, as sentence-transformers loads it, with the card that holds its verdict."""
    settings = run.settings()
    from rag_app.disk import refuse_unwritable
    from rag_app.export.folder import copy_for_others
    from rag_app.finetune.loading import sentence_transformers_code
    from rag_app.models.weights import find_model

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    asked = model or workspace_of(settings).catalog.open().info.model
    name, found = find_model(asked, storage=settings.storage, offline=settings.offline)
    has_verdict = copy_for_others(found, folder)
    run.say(f"{name} is copied to {folder}:")
    for line in sentence_transformers_code(folder):
        run.say(f"    {line}".rstrip())
    if not has_verdict:
        run.note("its card holds no verdict: `rag-app finetune` did not tune it")
    run.result({"folder": str(folder), "model": name, "verdict_in_card": has_verdict})


@export_app.command(
    "onnx",
    epilog="Examples:\n\nrag-app export onnx my-model-onnx\n\n"
    "rag-app export onnx my-model-int8 --int8 --questions questions.jsonl",
)
@command
def export_onnx_model(
    run: Run,
    folder: Target,
    *,
    model: ExportedModel = None,
    index: Annotated[
        str | None, typer.Option(help="Index whose chunks the graph is compared on. [in service]")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit weights: a quarter of the size, less exact.")
    ] = False,
    questions: Annotated[
        Path | None,
        typer.Option(help="Labelled questions, which --int8 needs: a certain loss is refused."),
    ] = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
) -> None:
    """Write a model as one ONNX graph, query adapter included, for onnxruntime or OpenVINO.

    Its vectors are held against the model's on the index's chunks first.
    """
    settings = run.settings(question_column=question_column, answer_column=answer_column)
    from rag_app.extras import require

    require("onnx", "onnxscript", "onnxruntime", extra="onnx")
    from rag_app.disk import refuse_unwritable
    from rag_app.export.onnx import export_onnx, onnx_code

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    workspace = workspace_of(settings)
    passages, loaded = _to_compare(workspace, index, model)
    labelled = _labelled(run, questions, passages, settings) if questions else []
    exported = export_onnx(
        loaded,
        folder,
        passages,
        labelled,
        int8=int8,
        cache=workspace.cache,
        seed=settings.seed,
        progress=run.progress,
    )
    run.say(
        f"{loaded.name} is written to {folder} ({exported.bytes / 1e6:.0f} MB); cosine to its own "
        f"vectors {exported.cosine_mean:.4f} on average, {exported.cosine_min:.4f} at least"
    )
    _show_comparison(run, exported, f"{loaded.name} and its ONNX graph", "int8" if int8 else "ONNX")
    for line in onnx_code(loaded, folder):
        run.say(f"    {line}".rstrip())
    run.result({"model": loaded.name, "int8": int8, **exported.to_json()})


@export_app.command(
    "openvino",
    epilog="Examples:\n\nrag-app export openvino all-MiniLM-L6-v2-int8 --questions questions.jsonl"
    "\n\nrag-app ingest docs --model all-MiniLM-L6-v2-int8",
)
@command
def export_openvino_model(
    run: Run,
    folder: Target,
    *,
    questions: Annotated[
        Path, typer.Option(help="Labelled questions: what certainly finds less is refused.")
    ],
    model: ExportedModel = None,
    index: Annotated[
        str | None,
        typer.Option(
            help="Index whose chunks the graph is calibrated and compared on. [in service]"
        ),
    ] = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
) -> None:
    """Copy a model with an OpenVINO graph inside that embeds passages in 8 bits, faster.

    `ingest --model FOLDER` embeds passages by the graph; questions pass the weights, which is also
    all that training and sentence-transformers read. Let the folder's name begin with the model's.
    """
    settings = run.settings(question_column=question_column, answer_column=answer_column)
    from rag_app.extras import require

    require("openvino", "nncf", "onnx", "onnxscript", extra="openvino")
    from rag_app.disk import refuse_unwritable
    from rag_app.export.openvino import export_openvino

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    workspace = workspace_of(settings)
    passages, loaded = _to_compare(workspace, index, model)
    exported = export_openvino(
        loaded,
        folder,
        passages,
        _labelled(run, questions, passages, settings),
        cache=workspace.cache,
        seed=settings.seed,
        progress=run.progress,
    )
    run.say(
        f"{loaded.name} is copied to {folder}, with a graph of {exported.bytes / 1e6:.0f} MB for "
        f"passages; cosine to its own vectors {exported.cosine_mean:.4f} on average, "
        f"{exported.cosine_min:.4f} at least"
    )
    _show_comparison(run, exported, f"{loaded.name} and its passages in 8 bits", "int8")
    run.say(f"    rag-app ingest YOUR_DOCUMENTS --model {folder}")
    run.result({"model": loaded.name, **exported.to_json()})


def _labelled(
    run: Run, questions: Path, passages: "Passages", settings: "Settings"
) -> "list[Question]":
    """The questions of a file of pairs that are matched to the passages."""
    from rag_app.evaluate.stage import find_labelled
    from rag_app.pairs import build_questions, cluster_documents, document_texts

    pairs, unmatched = find_labelled(questions, passages, columns=columns_of(settings))
    if unmatched:
        run.warn(str(unmatched))
    clusters = cluster_documents(document_texts(passages.nodes))
    return build_questions(pairs, passages.nodes, clusters)


def _show_comparison(run: Run, exported: "Exported", names: str, side: str) -> None:
    if compared := exported.comparison:
        from rag_app.cli.scores import comparison_table

        title = f"{compared.n} questions, {names}"
        run.out.print(comparison_table(compared, title=title, sides=("model", side)), "")


def _to_compare(
    workspace: "Workspace", index: str | None, model: str | None
) -> "tuple[Passages, EmbeddingModel]":
    """The chunks of an index, and the model that is exported, on the CPU as others run it.

    Arguments:
        index: None: the one in service.
        model: None: that of the index.
    """
    from rag_app.models import load_model

    searched = workspace.catalog.open(index)
    asked = model or searched.info.model
    loaded = load_model(
        asked,
        storage=workspace.storage,
        offline=workspace.offline,
        device="cpu",
        float_passages=True,
    )
    return searched.passages(), loaded


@export_app.command(
    "gguf",
    epilog="Examples:\n\nrag-app export gguf my-model-gguf\n\n"
    "rag-app export gguf minilm-gguf --model sentence-transformers/all-MiniLM-L6-v2",
)
@command
def export_gguf_model(
    run: Run,
    folder: Target,
    *,
    model: ExportedModel = None,
    index: Annotated[
        str | None, typer.Option(help="Index whose chunks the file is compared on. [in service]")
    ] = None,
) -> None:
    """Write a model as GGUF for llama.cpp, the query adapter beside it.

    BERT encoders with a WordPiece or a unigram tokenizer (MiniLM, bge, e5). llama.cpp's vectors
    are held against the model's on the index's chunks first.
    """
    settings = run.settings()
    from rag_app.extras import require

    require("gguf", "xllamacpp", extra="gguf")
    from rag_app.chunks import passage_text
    from rag_app.disk import refuse_unwritable
    from rag_app.export.gguf import beginnings, export_gguf, gguf_code

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    passages, loaded = _to_compare(workspace_of(settings), index, model)
    texts = [passage_text(node) for node in passages.nodes]
    exported = export_gguf(loaded, folder, texts, beginnings(texts), progress=run.progress)
    run.say(
        f"{loaded.name} is written to {folder} ({exported.bytes / 1e6:.0f} MB); the least cosine "
        f"of llama.cpp's vectors to its own is {exported.passage_cosine:.4f} on "
        f"{exported.passages} passages, {exported.question_cosine:.4f} on {exported.questions} "
        "questions"
    )
    for line in gguf_code(loaded, folder):
        run.say(f"    {line}".rstrip())
    run.result({"model": loaded.name, **exported.to_json()})


@export_app.command(
    "hub",
    epilog="Examples:\n\nrag-app export hub me/support-search\n\n"
    "rag-app export hub me/support-search --model NAME --public",
)
@command
def export_to_hub(
    run: Run,
    repo: Annotated[
        str, typer.Argument(help="Repository on the Hugging Face hub: OWNER/NAME, or NAME.")
    ],
    *,
    model: ExportedModel = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody read it; else it is private.")
    ] = False,
) -> None:
    """Push a model and its card with the verdict to the Hugging Face hub, as a private repository.

    This command contacts the hub, whatever the setting offline says; the token is HF_TOKEN, or what
    `hf auth login` kept.
    """
    settings = run.settings(asks_hub=True)
    from rag_app.export.hub import find_token, push_to_hub
    from rag_app.models.weights import find_model

    token = find_token()
    run.keep_secret(token)
    asked = model or workspace_of(settings).catalog.open().info.model
    name, found = find_model(asked, storage=settings.storage, offline=True)
    pushed = push_to_hub(found, repo, token=token, public=public, progress=run.progress)
    kind = "private" if pushed.private else "public"
    run.say(f"{name} is pushed to {pushed.url} ({kind}, {len(pushed.files)} files)")
    if public and pushed.private:
        run.note("the repository was there already and is private; that is left as it is")
    if not pushed.verdict_in_card:
        run.note("its card holds no verdict: `rag-app finetune` did not tune it")
    run.result({"model": name, **pushed.to_json()})
