# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume plugin that keeps each volume in a directory: the smallest that speaks the engine's plugin protocol."""

from __future__ import annotations

import json
import shutil
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where the engine looks for plugins that are no containers.
_PLUGINS = Path("/run/docker/plugins")


class _Volumes:
    """The plugin's volumes; their state is the directories."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def answer(self, call: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one call of the protocol."""
        path = self._directory / asked.get("Name", "")
        if call == "Plugin.Activate":
            return {"Implements": ["VolumeDriver"]}
        if call == "VolumeDriver.Capabilities":
            return {"Capabilities": {"Scope": "local"}}
        if call == "VolumeDriver.List":
            return {"Volumes": [{"Name": item.name} for item in self._directory.iterdir()], "Err": ""}
        if call == "VolumeDriver.Create":
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            return {"Err": f"there is no volume {asked.get('Name')}"}
        elif call == "VolumeDriver.Remove":
            shutil.rmtree(path)
        elif call == "VolumeDriver.Get":
            return {"Volume": {"Name": path.name, "Mountpoint": str(path), "Status": {}}, "Err": ""}
        return {"Mountpoint": str(path), "Err": ""}


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, socket: Path, volumes: _Volumes) -> None:
        self.volumes = volumes
        super().__init__(str(socket), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Answer one call."""
        length = int(self.headers.get("Content-Length") or 0)
        asked = json.loads(self.rfile.read(length) or b"{}") or {}
        content = json.dumps(self.server.volumes.answer(self.path.lstrip("/"), asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def volume_plugin(name: str, directory: Path) -> Iterator[None]:
    """Serve a volume driver of that name, with its volumes in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    _PLUGINS.mkdir(parents=True, exist_ok=True)
    socket = _PLUGINS / f"{name}.sock"
    socket.unlink(missing_ok=True)
    server = _Server(socket, _Volumes(directory))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        socket.unlink(missing_ok=True)
