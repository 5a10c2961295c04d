"""Our own paths: retrieve, answer, feedback, open, runs and reports, about, health."""

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from rag_app.errors import RequestError, RunError
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.pairs.feedback import pairs_file
from rag_app.report.brief import summary_lines
from rag_app.report.stored import run_folders
from rag_app.report.write import HTML_FILE
from rag_app.serve import schemas
from rag_app.serve.asked import Asked, Found
from rag_app.serve.openapi import openapi
from rag_app.serve.page import page_response
from rag_app.serve.problems import refusal
from rag_app.serve.streaming import Emit, event, server_sent

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer
    from rag_app.serve.site import Site


def retrieve(site: "Site", request: schemas.RetrieveRequest) -> dict[str, Any]:
    """Passages for a question."""
    return site.service.retrieve(_asked(request)).to_json()


def answer(site: "Site", request: schemas.AnswerRequest) -> dict[str, Any] | Response:
    """An answer with checked citations, whole or as server-sent events."""
    found = site.service.retrieve(_asked(request))
    if not request.stream:
        return _answered(found, site.service.answer(found))

    def tell(emit: Emit) -> None:
        emit(event(found.to_json(), name="passages"))
        made = site.service.answer(
            found, on_text=lambda text: emit(event({"text": text}, name="text"))
        )
        emit(event(_answered(found, made), name="answer"))

    return server_sent(tell, site.answering)


def feedback(site: "Site", request: schemas.FeedbackRequest) -> dict[str, Any]:
    """Keep a judgement of a passage as a labelled pair."""
    service = site.service
    pairs = service.keep(request.question, request.chunk, request.verdict, index=request.index)
    return {"pairs": pairs, "file": str(pairs_file(service.workspace.storage))}


def open_passage(site: "Site", request: schemas.OpenRequest) -> dict[str, Any]:
    """A passage in its document."""
    opened = site.service.open(request.chunk, around=request.around, index=request.index)
    return opened.to_json()


def about(site: "Site", _: None) -> dict[str, Any]:
    """The index that is asked, its metadata keys, and the others."""
    return site.service.about()


def runs(site: "Site", _: None) -> dict[str, Any]:
    """Finished runs of the results folder, the newest first; damaged ones are left out."""
    found = []
    for folder, line in summary_lines(site.results):
        if not isinstance(line, RunError):
            mrr = line.pop(PRIMARY_METRIC)
            found.append({**line, "mrr": mrr, "has_report": (folder / HTML_FILE).is_file()})
    return {"runs": found}


def report(site: "Site", request: schemas.RunRequest) -> Response:
    """The report of a run: a page that needs nothing else."""
    for folder in run_folders(site.results):
        if folder.name == request.name and (folder / HTML_FILE).is_file():
            return page_response((folder / HTML_FILE).read_text("utf-8"))
    raise RequestError(
        f"there is no report of a run {request.name!r}; /runs lists them, and `rag-app report RUN` "
        "writes one"
    )


def health(site: "Site", _: None) -> dict[str, Any] | Response:
    """Whether the index can be asked: 200, or 503."""
    from rag_app import __version__

    try:
        site.service.with_index(None, lambda served: served.count())
    except Exception as error:  # noqa: BLE001 - whatever it is, the index cannot be asked
        told = refusal(error)
        # Anybody may ask this: no paths and no names.
        told.message, told.status = "the index cannot be asked; the server's log says why", 503
        return told.response()
    return {"status": "ok", "version": __version__}


def metrics(site: "Site", _: None) -> Response:
    """Counts and times of requests, for Prometheus."""
    return Response(site.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def document(site: "Site", _: None) -> Response:
    """This description."""
    return JSONResponse(openapi(site.routes, with_token=site.with_token))


def _asked(request: schemas.RetrieveRequest) -> Asked:
    return Asked(
        question=request.question,
        top_k=request.k,
        where=request.where,
        retriever=request.retriever,
        index=request.index,
        evidence=request.evidence,
    )


def _answered(found: Found, made: "Answer") -> dict[str, Any]:
    shared = found.to_json()
    kept = ("index", "model", "retriever", "weak_match", "notes")
    return made.to_json() | {key: shared[key] for key in kept}
