# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes that a stream runs through: started, fed, watched and reaped in every outcome."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, BinaryIO, Callable, Optional, Union

from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError, StewardError

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031
# Messages in English, names as they are.
_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}


def widen(pipe: Optional[IO[bytes]]) -> None:
    """Let a pipe hold 1 MiB, where the kernel's limit for it allows: fewer turns between the two sides."""
    if pipe is not None:
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, CHUNK)


class Child:
    """A child process in a pipeline; its messages are kept for the error."""

    def __init__(
        self, command: Sequence[str], *, stdin: bool = False, stdout: bool = False, keep: Sequence[int] = ()
    ) -> None:
        """Start the command with pipes as asked, else with /dev/null; `keep` are descriptors that it gets too."""
        self.name = os.path.basename(command[0])
        # A file, not a pipe: a child that says much is never blocked by it.
        self._messages = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
            stderr=self._messages,
            env=_ENVIRONMENT,
            bufsize=0,
            pass_fds=tuple(keep),
        )
        widen(self.process.stdin)
        widen(self.process.stdout)

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to the child."""
        if self.process.stdin is None:
            raise ValueError(f"{self.name} was started without a pipe to it")
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe from the child."""
        if self.process.stdout is None:
            raise ValueError(f"{self.name} was started without a pipe from it")
        return self.process.stdout

    def messages(self) -> list[str]:
        """Return what the child wrote to its standard error, a line each."""
        self._messages.seek(0)
        return self._messages.read().decode("utf-8", "surrogateescape").splitlines()

    def wait(self, allowed: Sequence[int] = (0,)) -> int:
        """Wait for the end; return the exit status, or raise ArchiveError with the child's last words."""
        status = self.process.wait()
        if status not in allowed:
            said = "; ".join(self.messages()[-3:]) or "nothing"
            raise ArchiveError(f"{self.name} failed with status {status} and said: {said}.")
        return status

    def end(self) -> None:
        """Kill the child if it still runs, reap it and close its pipes."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._messages.close()


class Pump(threading.Thread):
    """Moves bytes from a source to a place in a thread of its own; an error there is kept and raised by finish()."""

    def __init__(
        self, read: Callable[[int], bytes], write: Callable[[bytes], object], close: Callable[[], object]
    ) -> None:
        """Prepare; `close` is called at the end of the source or on an error."""
        super().__init__(daemon=True)
        self._read = read
        self._write = write
        self._close = close
        self.error: Optional[BaseException] = None
        self.start()

    def run(self) -> None:
        """Move all there is."""
        try:
            while chunk := self._read(CHUNK):
                self._write(chunk)
        except (OSError, ValueError, StewardError) as error:
            self.error = error
        finally:
            with suppress(OSError):
                self._close()

    def finish(self) -> None:
        """Wait for the end and raise what went wrong."""
        self.join()
        if self.error is not None:
            raise self.error


def write_all(sink: Union[BinaryIO, IO[bytes]], data: bytes) -> None:
    """Write all of the data: a raw file may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[sink.write(view) :]


def available(program: str) -> bool:
    """Return whether the host has a program."""
    return shutil.which(program) is not None
