"""The Hugging Face hub on loopback: as much of it as one commit of a model needs."""

import base64
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_server import LocalServer

OWNER = "me"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)


class FakeHub(LocalServer):
    """Serves until the with block ends. Large files come as LFS objects, as they do to the hub."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self._objects: dict[str, bytes] = {}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler_of(self)

    def reply(self, request: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer to "POST /path"."""
        method, _, path = request.partition(" ")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if method == "PUT":
            self._objects[path.rpartition("/")[2]] = body
            return 200, {}
        if path.endswith("/info/lfs/objects/batch"):
            return 200, self._batch(json.loads(body))
        name = "/".join(path.removeprefix("/api/models/").split("/")[:2])
        if name not in self.repositories:
            return 404, {"error": f"no {name}"}
        if path.endswith("/preupload/main"):
            return 200, {"files": [_mode(one["path"]) for one in json.loads(body)["files"]]}
        if path.endswith("/commit/main"):
            return 200, self._commit(name, body)
        return 200, {"id": name, "private": self.repositories[name].private}

    def _create(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = f"{asked.get('organization') or OWNER}/{asked['name']}"
        there = name in self.repositories
        private = asked.get("private", asked.get("visibility") == "private")
        self.repositories.setdefault(name, Repository(private))
        return 409 if there else 200, {"url": f"{self.url}/{name}", "name": name}

    def _batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.url}/objects/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def _commit(self, name: str, body: bytes) -> dict[str, Any]:
        files = self.repositories[name].files
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self._objects[value["oid"]]
        oid = "0" * 40
        return {"commitUrl": f"{self.url}/{name}/commit/{oid}", "commitOid": oid}


def _mode(path: str) -> dict[str, Any]:
    large = path.endswith(".safetensors")
    return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}


def _handler_of(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = f"{self.command} {self.path}"
            hub.requests.append(request)
            known = self.headers.get("authorization") == f"Bearer {hub.token}"
            is_object = self.command == "PUT"  # its address alone allows that
            allowed = known or is_object
            status, reply = hub.reply(request, body) if allowed else (401, {"error": "who?"})
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Tests are quiet."""

    return Handler
