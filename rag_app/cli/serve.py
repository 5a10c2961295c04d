"""`serve`: the page, and HTTP for other programs."""

from rag_app.cli.flags import Llm, LlmBaseUrl, LlmModel, Where
from rag_app.cli.run import Run, command
from rag_app.cli.serving import (
    Host,
    Port,
    Rate,
    ServedIndexName,
    ServedRetriever,
    TokenFile,
    look_ahead,
    place_of,
    service_of,
)

EXAMPLES = (
    "rag-app serve",
    "rag-app serve --retriever hybrid:0.7+questions --port 8080",
    "rag-app serve --host 0.0.0.0 --token-file token",
)


@command
def serve(
    run: Run,
    *,
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    index: ServedIndexName = None,
    retriever: ServedRetriever = None,
    where: Where = None,
    llm: Llm = None,
    llm_base_url: LlmBaseUrl = None,
    llm_model: LlmModel = None,
    rate: Rate = 1200,
) -> None:
    """Serve a page and an OpenAI-compatible HTTP interface over the index in service: embeddings,
    chat completions, passages, answers, feedback."""
    settings = run.settings(
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        retriever=retriever,
        where=where,
    )
    from rag_app.extras import require

    require("starlette", "uvicorn", extra="serve")
    from dataclasses import replace

    from rag_app.serve.limits import Limits
    from rag_app.serve.server import bound
    from rag_app.serve.server import run as run_server
    from rag_app.serve.site import build_site

    place = place_of(settings, host=host, port=port, token_file=token_file)
    with service_of(settings, index) as service, bound(place) as listening:
        place = replace(place, port=listening.getsockname()[1])
        found = look_ahead(run, service)

        def started() -> None:
            run.note(f"{place.url} asks index {found['index'] or '(none yet)'}; Ctrl-C ends it")
            run.result({"url": place.url, **found, "retriever": settings.retriever})

        limits = Limits(per_minute=rate)
        run_server(
            build_site(service, settings.results, token=place.token, limits=limits),
            listening,
            started=started,
        )
