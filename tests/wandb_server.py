"""As much of W&B's server as its own library needs to save views and to take runs, on this machine; it keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "0123456789" * 4
PROJECT, ENTITY = "lab", "me"


class Server(ThreadingHTTPServer):
    """Listens on a free port of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.views: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []

    def environment(self, home: Path) -> dict[str, str]:
        """What makes a process of its own log in here."""
        home.mkdir(parents=True, exist_ok=True)
        address = f"http://127.0.0.1:{self.server_port}"
        return {"WANDB_BASE_URL": address, "WANDB_API_KEY": KEY, "WANDB_MODE": "", "HOME": str(home)}


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_PUT(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = json.loads(raw) if self.path == "/graphql" else {}
        body = json.dumps({"data": self._data(asked.get("query", ""), asked.get("variables") or {})}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not on the terminal."""

    def _data(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            self.server.views.append(given)
            view = {"id": f"view{len(self.server.views)}", "name": given["name"], "displayName": given["displayName"]}
            view |= {"description": "", "project": {"name": PROJECT, "entityName": ENTITY}, "spec": given["spec"]}
            return {"upsertView": {"view": view, "inserted": True}}
        if "upsertBucket" in query:
            self.server.runs.append(given)
            project = {"id": "1", "name": given["project"], "entity": {"id": "1", "name": ENTITY}}
            bucket = {"id": "1", "name": given["name"], "displayName": "", "description": "", "config": "{}"}
            return {"upsertBucket": {"bucket": {**bucket, "project": project, "historyLineCount": 0}, "inserted": True}}
        if "createRunFiles" in query:
            address = f"http://127.0.0.1:{self.server.server_port}"
            places = [{"name": name, "uploadUrl": f"{address}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": places}}
        if "internalId" in query:
            return {"project": {"internalId": "77"}}
        if "models(" in query:
            node = {
                "id": "1",
                "name": PROJECT,
                "entityName": ENTITY,
                "createdAt": "2026-01-01T00:00:00",
                "isBenchmark": False,
                "user": None,
            }
            pages = {"endCursor": "c", "hasNextPage": False}
            return {"models": {"edges": [{"node": node, "cursor": "c"}], "pageInfo": pages}}
        if "viewer" in query:
            lists = {"teams": {"edges": []}, "apiKeys": {"edges": []}}
            names = dict.fromkeys(("entity", "username", "name"), ENTITY)
            return {
                "viewer": {"id": "1", "email": "", "flags": "{}", "admin": False, "deletedAt": None, **names, **lists}
            }
        return {}
