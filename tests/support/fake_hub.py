"""A model hub on loopback with a model's files at one commit, for the requests of huggingface_hub."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves `folder` as the model `name`. `asked`: the paths of all requests."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        path = path.partition("?")[0]
        if path in (f"/api/models/{self.name}/revision/{revision}" for revision in (COMMIT, "main")):
            return 200, {"Content-Type": "application/json"}, self._info()
        if path.startswith(f"/api/models/{self.name}/tree/"):
            return 200, {"Content-Type": "application/json"}, json.dumps(self._tree()).encode()
        name = path.removeprefix(f"/{self.name}/resolve/{COMMIT}/")
        if name not in self.files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        content = self.files[name].read_bytes()
        return 200, {"ETag": f'"{_sha(content)}"', "X-Repo-Commit": COMMIT}, content

    def _info(self) -> bytes:
        siblings = [{"rfilename": name} for name in self.files]
        return json.dumps(
            {
                "id": self.name,
                "modelId": self.name,
                "sha": COMMIT,
                "private": False,
                "downloads": 0,
                "tags": [],
                "siblings": siblings,
            }
        ).encode()

    def _tree(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": name, "size": path.stat().st_size, "oid": _sha(path.read_bytes())}
            for name, path in self.files.items()
        ]


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Yields the address, for `HF_ENDPOINT`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, content = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
