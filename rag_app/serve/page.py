"""Pages: each may run its own script and style, and nothing else."""

import base64
import hashlib
import re

from starlette.responses import HTMLResponse

from rag_app.serve.guard import POLICY


def page_response(text: str) -> HTMLResponse:
    """A page with a policy made for it."""
    return HTMLResponse(text, headers={POLICY: page_policy(text)})


def page_policy(page: str) -> str:
    """A Content-Security-Policy that lets only this page's own script and style work."""
    script, style = _hashes("script", page), _hashes("style", page)
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(tag: str, page: str) -> str:
    inner = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in inner)
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
