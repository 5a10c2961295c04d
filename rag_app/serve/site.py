"""The application: routes over a service, behind the guard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from rag_app.serve.guard import Access, Guard
from rag_app.serve.limits import Limits
from rag_app.serve.metrics import Metrics
from rag_app.serve.page import page_response
from rag_app.serve.problems import refusal
from rag_app.serve.route import Route
from rag_app.serve.routes import ROUTES

if TYPE_CHECKING:
    from rag_app.serve.service import Service

# An index is asked by one thread at a time, for all that wait.
ASKING = 32
# Each waits for a language model most of its time.
ANSWERING = 32
PAGE = Path(__file__).parent / "page.html"


@dataclass(frozen=True)
class Site:
    """What the routes share.

    Fields:
        results: folder of finished runs.
        routes: what is answered, for its description.
        asking, answering: threads for what an index does, and for what a language model does.
        with_token: whether requests need a token.
    """

    service: "Service"
    results: Path
    routes: tuple[Route, ...] = ROUTES
    metrics: Metrics = field(default_factory=Metrics)
    with_token: bool = False
    asking: Executor = field(default_factory=lambda: ThreadPoolExecutor(ASKING, "asking"))
    answering: Executor = field(default_factory=lambda: ThreadPoolExecutor(ANSWERING, "answering"))

    def close(self) -> None:
        """Let go of the threads; what waits for one is dropped."""
        for executor in (self.asking, self.answering):
            executor.shutdown(wait=False, cancel_futures=True)


def build_site(
    service: "Service", results: Path, *, token: str | None = None, limits: Limits | None = None
) -> Guard:
    """The whole application, as an ASGI server runs it.

    Arguments:
        results: folder of finished runs, whose reports are shown.
        token: what every request but those for the page, /health and /openapi.json must send.
    """
    site = Site(service, results, with_token=token is not None)
    text = PAGE.read_text("utf-8")

    async def page(_: Request) -> Response:
        return page_response(text)

    routes = [
        StarletteRoute(one.path, _endpoint(one, site), methods=[one.method]) for one in ROUTES
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        site.close()

    app = Starlette(
        routes=[StarletteRoute("/", page, methods=["GET"]), *routes],
        exception_handlers={HTTPException: _told, Exception: _told},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    access = Access(
        token,
        open_paths=frozenset({"/", *(one.path for one in ROUTES if one.public)}),
        json_paths=frozenset(one.path for one in ROUTES if one.method == "POST"),
        known_paths=frozenset({"/", *(one.path for one in ROUTES)}),
    )
    return Guard(app, access, limits=limits, metrics=site.metrics)


def _endpoint(route: Route, site: Site) -> Callable[[Request], Awaitable[Response]]:
    executor = site.answering if route.slow else site.asking

    async def endpoint(request: Request) -> Response:
        body = await request.body()

        def respond() -> Response:
            model = route.request
            if model is None:
                asked = None
            elif route.method == "POST":
                asked = model.model_validate_json(body)
            else:
                asked = model.model_validate(request.path_params)
            answered = route.answer(site, asked)
            return answered if isinstance(answered, Response) else JSONResponse(answered)

        try:
            return await asyncio.get_running_loop().run_in_executor(executor, respond)
        except Exception as error:  # noqa: BLE001 - it is told, and logged where it is a bug
            return refusal(error).response()

    return endpoint


async def _told(_: Request, error: Exception) -> Response:
    return refusal(error).response()
