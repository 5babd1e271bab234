# SPDX-License-Identifier: GPL-3.0-or-later
"""A small backend service in a container: it takes orders over HTTP and keeps each in a file of its volume."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from pathlib import Path

import docker
import docker.errors

from lab.images import busybox_tar

IMAGE = "steward-demo/shop:1"
CONTAINER = "steward-demo-shop"
VOLUME = "steward-demo-orders"
LABELS = {"steward.demo": "true"}
# What the web server runs for a request: one stores an order, the other answers how many there are.
_ORDER = """#!/bin/sh
number=$(( $(ls /data | wc -l) + 1 ))
echo "order $number: $QUERY_STRING, $(date -u)" >"/data/order-$(printf %04d "$number")"
exec /www/cgi-bin/count
"""
_COUNT = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' "$(ls /data | wc -l)"
"""
_URL = "http://127.0.0.1:8080/cgi-bin"
_SERVE = ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait $!"]
_START_SECONDS = 20


class Shop:
    """The service, its image and its volume; nothing else on the engine is touched."""

    def __init__(self) -> None:
        """Connect to the machine's engine."""
        self._client = docker.from_env(timeout=60)

    def open(self) -> None:
        """Start the service on an empty volume and wait until it answers."""
        self.close()
        files = {"www/cgi-bin/order": _ORDER.encode(), "www/cgi-bin/count": _COUNT.encode()}
        changes = [f"CMD {json.dumps(_SERVE)}"]
        repository, tag = IMAGE.split(":")
        data = busybox_tar(files)
        self._client.api.import_image_from_data(data, repository=repository, tag=tag, changes=changes)
        self._client.volumes.create(VOLUME, labels=LABELS)
        self._client.containers.run(
            IMAGE, name=CONTAINER, detach=True, labels=LABELS, network_disabled=False, volumes=[f"{VOLUME}:/data"]
        )
        deadline = time.monotonic() + _START_SECONDS
        while self.answers() != "0":
            if time.monotonic() > deadline:
                raise RuntimeError("The demonstration's service did not start.")
            time.sleep(0.2)

    def _run(self, *command: str) -> tuple[int, str]:
        done = self._client.containers.get(CONTAINER).exec_run(list(command))
        return done.exit_code, done.output.decode(errors="replace")

    def order(self, count: int) -> None:
        """Send some orders to the service over HTTP."""
        script = f"for n in $(seq {count}); do wget -q -O /dev/null {_URL}/order?item=$n || exit 1; done"
        status, output = self._run("sh", "-c", script)
        if status:
            raise RuntimeError(f"The demonstration's service took no order: {output}")

    def damage(self) -> None:
        """Do to the data what a bad deployment does."""
        status, output = self._run("sh", "-c", "rm /data/order-*[02468]; for f in /data/*; do echo oops >$f; done")
        if status:
            raise RuntimeError(f"The data could not be damaged: {output}")

    def orders(self) -> dict[str, str]:
        """Return the SHA-256 of each order, as the running service's container sees it."""
        chunks, _stat = self._client.containers.get(CONTAINER).get_archive("/data")
        found: dict[str, str] = {}
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    found[Path(member.name).name] = hashlib.sha256(file.read()).hexdigest()
        return found

    def answers(self) -> str:
        """Ask the running service how many orders it has; return its answer, "" without one."""
        status, output = self._run("wget", "-q", "-O", "-", f"{_URL}/count")
        return "" if status else output.strip()

    def close(self) -> None:
        """Remove the container, the volume and the image."""
        for remove in (
            lambda: self._client.containers.get(CONTAINER).remove(force=True, v=True),
            lambda: self._client.volumes.get(VOLUME).remove(),
            lambda: self._client.images.remove(IMAGE),
        ):
            try:
                remove()
            except docker.errors.NotFound:
                continue
