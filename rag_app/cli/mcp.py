"""`mcp`: the index as tools of a language model's program."""

from typing import Annotated

import typer

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
from rag_app.errors import ConfigError

EXAMPLES = (
    "rag-app mcp",
    "rag-app mcp --retriever hybrid:0.7+questions",
    "rag-app mcp --http --port 8001",
)


@command
def mcp(
    run: Run,
    *,
    http: Annotated[
        bool,
        typer.Option("--http", help="Serve streamable HTTP at /mcp instead of standard input."),
    ] = False,
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
    """Offer the index in service to MCP clients as the tools retrieve, answer and open."""
    if not http and (host is not None or port is not None or token_file is not None):
        raise ConfigError("--host, --port and --token-file are for --http; add it")
    settings = run.settings(
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        retriever=retriever,
        where=where,
    )
    from rag_app.extras import require

    require("mcp", extra="mcp")
    from dataclasses import replace

    from rag_app.serve.limits import Limits
    from rag_app.serve.mcp_server import PATH, build_mcp, build_mcp_site
    from rag_app.serve.server import bound
    from rag_app.serve.server import run as run_server

    with service_of(settings, index) as service:
        server = build_mcp(service)
        if not http:
            # Standard output belongs to the protocol, and the client does not wait for long.
            server.run()
            return
        place = place_of(settings, host=host, port=port, token_file=token_file)
        with bound(place) as listening:
            place = replace(place, port=listening.getsockname()[1])
            found = look_ahead(run, service)

            def started() -> None:
                run.note(f"{place.url}{PATH} asks index {found['index'] or '(none yet)'}")
                run.result({"url": f"{place.url}{PATH}", **found})

            app = build_mcp_site(server, token=place.token, limits=Limits(per_minute=rate))
            run_server(app, listening, started=started)
