# SPDX-License-Identifier: GPL-3.0-or-later
"""Images without a registry: trees made from Debian's packages, imported as they are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engine import LabError, run

if TYPE_CHECKING:
    import docker

CACHE = Path("/var/cache/steward-lab")
BUSYBOX = "steward-lab/busybox:1"
POSTGRES = "steward-lab/postgres:1"
HOST = "steward-lab/host:1"
# A first process that ends at once on SIGTERM, as a good service does.
SERVICE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]

_HOST_PACKAGES = [
    "acl",
    "attr",
    "ca-certificates",
    "dbus",
    "docker.io",
    "iproute2",
    "iptables",
    "openssh-server",
    "procps",
    "python3",
    "python3-docker",
    "rsync",
    "systemd",
    "systemd-sysv",
    "zstd",
]
_POSTGRES_PACKAGES = ["postgresql", "postgresql-contrib"]
_POSTGRES_START = """#!/bin/sh
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
  chown postgres:postgres "$data" && chmod 700 "$data"
  setpriv --reuid=postgres --regid=postgres --init-groups "$bin/initdb" -D "$data" --auth=trust --data-checksums >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$data" -c unix_socket_directories=/tmp
"""
# The host's first process: dockerd and sshd, or systemd, which starts both.
_HOST_START = """#!/bin/sh
set -e
mkdir -p /run/sshd
ssh-keygen -A >/dev/null
if [ "$1" = systemd ]; then
  exec /lib/systemd/systemd
fi
dockerd >/var/log/dockerd.log 2>&1 &
trap 'kill $(cat /run/docker.pid) 2>/dev/null; exit 0' TERM
/usr/sbin/sshd -D &
while :; do sleep 3600 & wait $!; done
"""


def busybox_tar(files: dict[str, bytes] | None = None) -> bytes:
    """Return a tar of a small system of the static busybox, with some executable files."""
    binary = Path("/bin/busybox")
    if not binary.exists():
        raise LabError("There is no /bin/busybox: install busybox-static.")
    applets = set(run(str(binary), "--list").stdout.split()) | {"busybox"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(binary, "bin/busybox")
        for applet in sorted(applets - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, mode in (("tmp", 0o1777), ("etc", 0o755), ("root", 0o700)):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            tar.addfile(directory)
        for path, content in {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", **(files or {})}.items():
            file = tarfile.TarInfo(path)
            file.size, file.mode = len(content), 0o755
            tar.addfile(file, io.BytesIO(content))
    return buffer.getvalue()


def busybox(client: docker.DockerClient) -> str:
    """Import a small image of the static busybox; return its name."""
    return _import(client, BUSYBOX, busybox_tar(), [f"CMD {json.dumps(SERVICE)}"])


def _import(client: docker.DockerClient, name: str, data: bytes, changes: list[str]) -> str:
    repository, tag = name.rsplit(":", 1)
    client.api.import_image_from_data(data, repository=repository, tag=tag, changes=changes)
    return name


def _mirror() -> tuple[str, str]:
    """Return the package mirror and the release that this machine's own apt uses."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages")
    for line in listed.stdout.splitlines():
        uri, release, component = line.split()
        if component == "main" and "-" not in release:
            return uri, release
    raise LabError("apt has no package lists: run apt-get update first.")


def _tree(name: str, packages: list[str], files: dict[str, str]) -> Path:
    """Return a cached tar of a Debian tree with packages and files, made when it is not there."""
    uri, release = _mirror()
    recipe = hashlib.sha256(repr((release, packages, sorted(files.items()))).encode()).hexdigest()[:16]
    cached = CACHE / f"{name}-{recipe}.tar"
    if cached.exists():
        return cached
    (CACHE / "packages").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        root = Path(scratch) / "root"
        command = ["debootstrap", "--variant=minbase", f"--cache-dir={CACHE / 'packages'}"]
        done = subprocess.run(
            [*command, f"--include={','.join(packages)}", release, str(root), uri],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"debootstrap failed: {done.stdout[-500:]}")
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "usr/share/doc", ignore_errors=True)
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            target.chmod(0o755)
        unfinished = cached.with_suffix(".part")
        run("tar", "--numeric-owner", "-C", str(root), "-cf", str(unfinished), ".")
        os.replace(unfinished, cached)
    return cached


def _import_file(client: docker.DockerClient, name: str, path: Path, changes: list[str]) -> str:
    repository, tag = name.rsplit(":", 1)
    client.api.import_image_from_file(str(path), repository=repository, tag=tag, changes=changes)
    return name


def postgres(client: docker.DockerClient) -> str:
    """Import a PostgreSQL server; it makes its database in /var/lib/postgresql/data when that is empty."""
    tree = _tree("postgres", _POSTGRES_PACKAGES, {"usr/local/bin/start": _POSTGRES_START})
    changes = ['CMD ["/usr/local/bin/start"]']
    return _import_file(client, POSTGRES, tree, changes)


def host(client: docker.DockerClient) -> str:
    """Import a Docker host: sshd and dockerd, with or without systemd."""
    tree = _tree("host", _HOST_PACKAGES, {"usr/local/bin/start": _HOST_START})
    return _import_file(client, HOST, tree, ['CMD ["/usr/local/bin/start"]'])
