# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet: containers of a private engine, each a Docker host of its own, reached over SSH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import images
from lab.engine import RUN, LabEngine, LabError, run

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

# Its name, and how its first process is started.
HOSTS = {"host1": [], "host2": ["systemd"]}
DIRECTORY = RUN / "fleet-keys"
INVENTORY = DIRECTORY / "inventory.json"
_KEY = DIRECTORY / "key"
_START_SECONDS = 90
# In the order of linux/capability.h, as far as Docker 20.10 knows them.
_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ"
).split()


def engine() -> LabEngine:
    """Return the fleet's engine; it outlives the process that starts it."""
    return LabEngine("fleet")


def _create(client: docker.DockerClient, name: str, words: list[str]) -> Container:
    effective = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff")
    )
    # Only docker's own client knows systempaths=unconfined.
    run(
        "docker",
        f"--host={engine().url}",
        "run",
        "--detach",
        f"--name={name}",
        f"--hostname={name}",
        "--cap-drop=ALL",
        # As good as --privileged, also on a machine that itself lacks some of them.
        *(f"--cap-add={word}" for number, word in enumerate(_CAPABILITIES) if effective & (1 << number)),
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--security-opt=systempaths=unconfined",
        "--device-cgroup-rule=a *:* rwm",
        "--tmpfs=/run",
        "--tmpfs=/run/lock",
        f"--volume={name}-docker:/var/lib/docker",
        # One directory for all hosts, as a network file system would be.
        "--volume=fleet-store:/mnt/backups",
        "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
        images.HOST,
        "/usr/local/bin/start",
        *words,
    )
    return client.containers.get(name)


def _exec(container: Container, *command: str) -> str:
    status, output = container.exec_run(list(command))
    if status != 0:
        raise LabError(f"{' '.join(command)} failed on {container.name}: {output.decode(errors='replace').strip()}")
    return str(output.decode(errors="replace"))


def _wait(container: Container) -> None:
    """Wait until the inner engine answers and sshd listens."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        container.reload()
        if container.status != "running":
            raise LabError(f"The host {container.name} ended: {container.logs().decode(errors='replace')[-500:]}")
        done = container.exec_run(["sh", "-c", "docker version >/dev/null && ss -ltn | grep -q ':22 '"])
        if done.exit_code == 0:
            return
        if time.monotonic() > deadline:
            log = container.exec_run(["sh", "-c", "tail -5 /var/log/dockerd.log; journalctl -n 20 --no-pager"]).output
            raise LabError(f"The host {container.name} did not come up: {log.decode(errors='replace')[-1500:]}")
        time.sleep(0.5)


def _load_busybox(outer: docker.DockerClient, container: Container) -> None:
    image = outer.images.get(images.BUSYBOX)
    data = b"".join(image.save(named=True))
    loading = subprocess.run(
        ["docker", f"--host={engine().url}", "exec", "-i", container.id, "docker", "load"],
        input=data,
        capture_output=True,
        check=False,
    )
    if loading.returncode != 0:
        raise LabError(f"The image was not loaded on {container.name}: {loading.stderr.decode(errors='replace')}")


def up() -> None:
    """Start the fleet and write its inventory."""
    lab = engine().start()
    client = lab.client()
    images.busybox(client)
    images.host(client)
    DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o700)
    _KEY.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(_KEY))
    public = _KEY.with_suffix(".pub").read_text()
    found: dict[str, Any] = {}
    containers = {name: _create(client, name, words) for name, words in HOSTS.items()}
    for name, container in containers.items():
        _wait(container)
        script = f"mkdir -p /root/.ssh && chmod 700 /root/.ssh && echo '{public.strip()}' >/root/.ssh/authorized_keys"
        _exec(container, "sh", "-c", script)
        _load_busybox(client, container)
        container.reload()
        found[name] = {
            "ansible_host": container.attrs["NetworkSettings"]["IPAddress"],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(_KEY),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
    INVENTORY.write_text(json.dumps({"docker_hosts": {"hosts": found}}, indent=2))
    client.close()
    print(f"The fleet is up: {', '.join(found)}. Its inventory is {INVENTORY}.")


def down() -> None:
    """Remove the fleet."""
    engine().stop()
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def shell(name: str) -> None:
    """Open a shell on a host."""
    os.execvp("docker", ["docker", f"--host={engine().url}", "exec", "-it", name, "bash"])
