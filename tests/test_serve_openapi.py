"""Whatever the OpenAPI description allows is answered as it says; what it forbids is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from served import fill, running

from rag_app.serve.asked import Serving
from rag_app.serve.limits import Limits
from rag_app.serve.openapi import openapi
from rag_app.serve.routes import ROUTES
from rag_app.serve.service import Service
from rag_app.serve.site import build_site

TOKEN = "0123456789abcdef"  # noqa: S105 - of a test
# A retriever, a filter or a model that no schema can describe is a 422, a name of nothing a 404.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 422]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 413, 415, 422]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("token", "examples"), [(None, 40), (TOKEN, 10)])
def test_schemathesis_finds_nothing(tmp_path: Path, token: str | None, examples: int) -> None:
    pytest.importorskip("schemathesis")
    (tmp_path / "schemathesis.toml").write_text(CONFIG, "utf-8")
    service = Service(fill(tmp_path / "storage"), Serving())
    site = build_site(service, tmp_path / "results", token=token, limits=Limits(per_minute=10**9))
    headers = ["--header", f"Authorization: Bearer {token}"] if token else []
    with running(site) as url:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
                *("--max-examples", str(examples), "--seed", "13", "--no-color", *headers),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_route_is_described() -> None:
    described = openapi(ROUTES, with_token=True)
    paths = {(method.upper(), path) for path, one in described["paths"].items() for method in one}
    assert paths == {(route.method, route.path) for route in ROUTES}
    public = [
        path
        for path, one in described["paths"].items()
        if "security" not in next(iter(one.values()))
    ]
    assert public == ["/health", "/openapi.json"]
