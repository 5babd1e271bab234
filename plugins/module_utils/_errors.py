# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong. A message says what happened, to which object, and what to do next."""

from __future__ import annotations

from typing import Any


class StewardError(Exception):
    """Base of the collection's errors; only the module's boundary turns one into fail_json."""

    def __init__(self, message: str, **facts: Any) -> None:
        """Keep the message for a person and the facts for the result."""
        super().__init__(message)
        self.facts = facts


class EngineError(StewardError):
    """The Docker Engine did not answer, or refused."""


class NoAnswerError(EngineError):
    """The Docker Engine did not answer: it may do so later."""


class NotFoundError(EngineError):
    """The engine has no such object."""


class RefusedError(StewardError):
    """The job is refused before anything is touched, because it would do harm."""


class QuiesceError(StewardError):
    """A container could not be held still, or not for long enough."""


class LockError(StewardError):
    """Another run works on the same object."""


class StoreError(StewardError):
    """The store of backups cannot be used as asked."""


class ArchiveError(StewardError):
    """An archive is damaged, hostile, or could not be written."""


class TreeError(StewardError):
    """A directory tree could not be read or changed."""
