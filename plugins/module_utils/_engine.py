# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker Engine. This is the only file that imports the Docker SDK."""

from __future__ import annotations

import io
import os
import tarfile
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ansible_collections.steward.docker.plugins.module_utils._errors import EngineError, NoAnswerError, NotFoundError
from ansible_collections.steward.docker.plugins.module_utils._process import ProcessIdentity, myself, provably_dead
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

try:
    import docker
    import docker.errors
    import requests.exceptions
except ImportError:
    SDK_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    SDK_IMPORT_ERROR = None

MINIMUM_API = (1, 41)
HELPER_LABEL = "steward.helper"
# A path that the empty image lacks, so that the engine copies nothing into an empty volume.
HELPER_MOUNT = "/steward"
_EMPTY_TAR = b"\0" * 10240


class EngineFacts(NamedTuple):
    """What the engine says of itself."""

    id: str
    name: str
    version: str
    api_version: str
    root_dir: str
    security_options: tuple[str, ...]

    @property
    def rootless(self) -> bool:
        """Whether the engine runs without root."""
        return any("rootless" in option for option in self.security_options)

    @property
    def user_namespaces(self) -> bool:
        """Whether the engine maps the containers' users to others (userns-remap)."""
        return any("userns" in option for option in self.security_options)


class Mount(NamedTuple):
    """One mount of a container."""

    kind: str
    volume: str
    source: str
    destination: str
    driver: str
    writable: bool


class Container(NamedTuple):
    """A container as the engine lists it."""

    id: str
    name: str
    image: str
    state: str
    labels: dict[str, str]
    mounts: tuple[Mount, ...]
    network_mode: str
    # The names of the containers that have a link to it.
    linked_by: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether processes of it may run or be woken: not created, exited or dead."""
        return self.state in ("running", "paused", "restarting")


class Volume(NamedTuple):
    """A volume as the engine lists it."""

    name: str
    driver: str
    mountpoint: str
    created_at: str
    labels: dict[str, str]
    options: dict[str, str]


def _container(listed: Mapping[str, Any]) -> Container:
    # A linked container is also listed as "/other/alias"; its own name has one slash.
    names = [name[1:] for name in listed.get("Names") or [] if name.count("/") == 1]
    aliases = [name.split("/") for name in listed.get("Names") or [] if name.count("/") == 2]
    mounts = tuple(
        Mount(
            kind=mount.get("Type", ""),
            volume=mount.get("Name", "") if mount.get("Type") == "volume" else "",
            source=mount.get("Source", ""),
            destination=mount.get("Destination", ""),
            driver=mount.get("Driver", ""),
            writable=bool(mount.get("RW")),
        )
        for mount in listed.get("Mounts") or []
    )
    return Container(
        id=listed["Id"],
        name=names[0] if names else listed["Id"],
        image=listed.get("Image", ""),
        state=listed.get("State", ""),
        labels=dict(listed.get("Labels") or {}),
        mounts=mounts,
        network_mode=(listed.get("HostConfig") or {}).get("NetworkMode", ""),
        linked_by=tuple(sorted({alias[1] for alias in aliases})),
    )


def _volume(listed: Mapping[str, Any]) -> Volume:
    return Volume(
        name=listed["Name"],
        driver=listed.get("Driver", ""),
        mountpoint=listed.get("Mountpoint", ""),
        created_at=listed.get("CreatedAt", ""),
        labels=dict(listed.get("Labels") or {}),
        options=dict(listed.get("Options") or {}),
    )


def _certificate(params: Mapping[str, Any], option: str, file_name: str) -> str | None:
    given = params.get(option)
    if given:
        return str(given)
    directory = os.environ.get("DOCKER_CERT_PATH")
    return os.path.join(directory, file_name) if directory else None


def _tls_config(params: Mapping[str, Any]) -> Any:
    """Return the SDK's TLS settings, or False without TLS; with TLS, certificates are verified unless forbidden."""
    explicit = any(params.get(option) for option in ("ca_path", "client_cert", "client_key"))
    if not (params.get("tls") or params.get("validate_certs") or explicit):
        return False
    verify = params.get("validate_certs") is not False
    certificate = _certificate(params, "client_cert", "cert.pem")
    key = _certificate(params, "client_key", "key.pem")
    settings: dict[str, Any] = {
        "ca_cert": _certificate(params, "ca_path", "ca.pem"),
        "client_cert": (certificate, key) if certificate and key else None,
        "verify": verify,
    }
    if params.get("tls_hostname"):
        # Version 7 of the SDK has no such setting any more.
        if docker.version.split(".")[0] in ("5", "6"):
            settings["assert_hostname"] = params["tls_hostname"]
        else:
            raise EngineError(
                "The option tls_hostname needs version 5 or 6 of the Docker SDK for Python; "
                f"this host has {docker.version}. Put the name that the certificate carries into docker_host."
            )
    return docker.tls.TLSConfig(**settings)


class Engine:
    """A connection to one engine. Methods raise EngineError, or NotFoundError for an object that is not there."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Connect with the connection options of a module and read the engine's facts."""
        self.url = str(params["docker_host"])
        self._debug = bool(params["debug"])
        version = params.get("api_version") or "auto"
        try:
            tls = _tls_config(params)
            base_url = self.url.replace("tcp://", "https://", 1) if tls else self.url
            self._client = docker.APIClient(
                base_url=base_url,
                version=version,
                timeout=params.get("timeout") or 60,
                tls=tls,
                use_ssh_client=bool(params.get("use_ssh_client")),
            )
            info = self._client.info()
            server = self._client.version(api_version=False)
        except Exception as error:  # the SDK raises its transport's errors too, whatever they are
            self._fail_to_connect(error)
        self.facts = EngineFacts(
            id=info.get("ID") or "",
            name=info.get("Name") or "",
            version=server.get("Version") or "",
            api_version=str(self._client.api_version),
            root_dir=info.get("DockerRootDir") or "",
            security_options=tuple(info.get("SecurityOptions") or ()),
        )
        speaks = tuple(int(part) for part in server.get("ApiVersion", "0").split("."))
        if speaks < MINIMUM_API:
            raise EngineError(
                f"The engine at {self.url} is Docker {self.facts.version} (API {server.get('ApiVersion')}); "
                "Docker 20.10 (API 1.41) or newer is needed."
            )

    def _fail_to_connect(self, error: Exception) -> NoReturn:
        if isinstance(error, EngineError):
            raise error
        path = self.url[len("unix://") :] if self.url.startswith("unix://") else ""
        if path and not os.path.exists(path):
            remedy = "There is no such socket: start the engine, or set docker_host to where it listens."
        elif path and not os.access(path, os.R_OK | os.W_OK):
            remedy = "This user may not use the socket: run the task with become: true, or as a member of its group."
        else:
            remedy = "Check that it runs and that docker_host and the TLS options are right."
        raise EngineError(f"No Docker Engine answers at {self.url}: {error}. {remedy}") from error

    def debug_facts(self) -> dict[str, Any]:
        """Return what a result says of the engine when the option debug is set."""
        return {"engine": {"url": self.url, **self.facts._asdict()}} if self._debug else {}

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn the SDK's errors into ours, which say what was asked and of which object."""
        try:
            yield
        except docker.errors.NotFound as error:
            raise NotFoundError(f"Could not {what}: {error.explanation or error}") from error
        except docker.errors.APIError as error:
            raise EngineError(f"Could not {what}: {error.explanation or error}") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise NoAnswerError(f"Could not {what}: the engine at {self.url} did not answer: {error}") from error

    def containers(self) -> list[Container]:
        """Return every container of the engine but the collection's own helpers, by name."""
        with self._asking("list the containers"):
            listed = self._client.containers(all=True)
        found = (_container(item) for item in listed if HELPER_LABEL not in (item.get("Labels") or {}))
        return sorted(found, key=lambda container: container.name)

    def clock(self) -> str:
        """Return the engine's own time, as it writes it into the states of containers."""
        with self._asking("ask for its time"):
            return str(self._client.info().get("SystemTime") or "")

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Return all that the engine knows of a container."""
        with self._asking(f"inspect the container {container_id}"):
            found: dict[str, Any] = self._client.inspect_container(container_id)
            return found

    def volumes(self) -> list[Volume]:
        """Return every volume of the engine, by name."""
        with self._asking("list the volumes"):
            listed = self._client.volumes().get("Volumes") or []
        return sorted((_volume(item) for item in listed), key=lambda volume: volume.name)

    def volume(self, name: str) -> Volume | None:
        """Return one volume, or None when the engine has none of that name."""
        try:
            with self._asking(f"inspect the volume {name}"):
                return _volume(self._client.inspect_volume(name))
        except NotFoundError:
            return None

    def create_volume(self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]) -> Volume:
        """Create a volume and return it."""
        with self._asking(f"create the volume {name}"):
            return _volume(
                self._client.create_volume(name, driver=driver, driver_opts=dict(options), labels=dict(labels))
            )

    def remove_volume(self, name: str) -> None:
        """Remove a volume; the engine refuses while a container refers to it."""
        with self._asking(f"remove the volume {name}"):
            self._client.remove_volume(name)

    def pause(self, container_id: str) -> None:
        """Freeze a container's processes."""
        with self._asking(f"pause the container {container_id}"):
            self._client.pause(container_id)

    def unpause(self, container_id: str) -> None:
        """Thaw a container's processes."""
        with self._asking(f"unpause the container {container_id}"):
            self._client.unpause(container_id)

    def stop(self, container_id: str, grace: int | None = None) -> None:
        """Stop a container: its stop signal, its own stop timeout (or `grace` seconds), then SIGKILL."""
        with self._asking(f"stop the container {container_id}"):
            self._client.stop(container_id, timeout=grace)

    def start(self, container_id: str) -> None:
        """Start a container."""
        with self._asking(f"start the container {container_id}"):
            self._client.start(container_id)

    def restart(self, container_id: str) -> None:
        """Restart a container in one call, which a --rm one survives."""
        with self._asking(f"restart the container {container_id}"):
            self._client.restart(container_id)

    def run_in(self, container_id: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a running container to its end; return its exit status and what it said, both streams."""
        with self._asking(f"run {command[0]} in the container {container_id}"):
            identifier = self._client.exec_create(container_id, list(command))["Id"]
            said: bytes = self._client.exec_start(identifier)
            status: int | None = self._client.exec_inspect(identifier)["ExitCode"]
        if status is None:
            raise EngineError(f"The engine does not say how {command[0]} ended in the container {container_id}.")
        return status, said.decode("utf-8", "surrogateescape")

    @contextmanager
    def helper(self, *, volume: str = "", path: str = "", read_only: bool = True) -> Iterator[str]:
        """Create a container, never started, that has a volume or a host path at HELPER_MOUNT; yield its ID.

        It serves only as a handle through which the engine mounts the volume. It and its empty image, imported on
        the spot, are removed in every outcome.
        """
        owner = str(myself())
        if volume:
            mount = docker.types.Mount(HELPER_MOUNT, volume, type="volume", read_only=read_only, no_copy=True)
        else:
            mount = docker.types.Mount(HELPER_MOUNT, path, type="bind", read_only=read_only)
        image = container = ""
        try:
            # A signal waits until it is known what has to be removed again.
            with uninterrupted(), self._asking(f"create a helper for {volume or path}"):
                answer = self._client.import_image_from_data(_EMPTY_TAR, changes=[f'LABEL {HELPER_LABEL}="{owner}"'])
                image = _imported_id(answer)
                container = self._client.create_container(
                    image,
                    command=["steward"],
                    labels={HELPER_LABEL: owner},
                    network_disabled=True,
                    host_config=self._client.create_host_config(mounts=[mount]),
                )["Id"]
            yield container
        finally:
            self._remove_helper(container, image)

    def _remove_helper(self, container: str, image: str) -> None:
        with uninterrupted(), self._asking("remove a helper container and its empty image"):
            if container:
                self._client.remove_container(container, force=True)
            if image:
                self._client.remove_image(image, force=True)

    def sweep_helpers(self) -> list[str]:
        """Remove the helpers whose owner is provably dead; return their IDs."""
        chosen = {"label": HELPER_LABEL}
        with self._asking("list the helpers that earlier runs left"):
            containers = self._client.containers(all=True, filters=chosen)
            images = self._client.images(all=True, filters=chosen)
        swept: list[str] = []
        for items, is_container in ((containers, True), (images, False)):
            for item in items:
                owner = ProcessIdentity.parse(item["Labels"][HELPER_LABEL])
                if owner is not None and provably_dead(owner):
                    self._remove_helper(item["Id"] if is_container else "", "" if is_container else item["Id"])
                    swept.append(item["Id"])
        return swept

    def read_tree(self, container_id: str) -> Iterator[bytes]:
        """Return the tar stream of what is mounted at a helper's HELPER_MOUNT, in chunks; names begin with its base."""
        with self._asking(f"read {HELPER_MOUNT} of the container {container_id}"):
            chunks, _stat = self._client.get_archive(container_id, f"{HELPER_MOUNT}/.", chunk_size=1 << 20)
            yield from chunks

    def write_tree(self, container_id: str, stream: Any) -> None:
        """Extract a plain tar stream (a file or an iterator of chunks) at a helper's HELPER_MOUNT."""
        with self._asking(f"write into {HELPER_MOUNT} of the container {container_id}"):
            self._client.put_archive(container_id, HELPER_MOUNT, stream)

    def root_entry(self, container_id: str) -> tarfile.TarInfo:
        """Return the root directory of what is mounted at a helper's HELPER_MOUNT, as the engine sees it."""
        chunks = self.read_tree(container_id)
        first = b""
        for chunk in chunks:
            first += chunk
            if len(first) >= 8192:
                break
        with tarfile.open(fileobj=io.BytesIO(first), mode="r|") as stream:
            entry = stream.next()
        if entry is None:
            raise EngineError(f"The engine sent an empty archive of {HELPER_MOUNT} of the container {container_id}.")
        return entry


def _imported_id(answer: str) -> str:
    """Return the image's ID out of the engine's answer to an import: a JSON line whose status is the ID."""
    _before, found, after = answer.partition("sha256:")
    if not found:
        raise EngineError(f"The engine did not import the helper's empty image: {answer.strip()}")
    return "sha256:" + after[:64]
