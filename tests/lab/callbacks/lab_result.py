# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback that writes a task's whole result to the file named by LAB_RESULT, as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: lab_result
type: stdout
short_description: writes a task's whole result to a file
description: For tests.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core has no types
    """Writes the result of the one task of a test's play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lab_result"

    def _write(self, result: Any, **more: Any) -> None:
        Path(os.environ["LAB_RESULT"]).write_text(json.dumps({**result.result, **more}, default=str))

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write a good result."""
        self._write(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write a failed result."""
        self._write(result, failed=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write that the host was not reached."""
        self._write(result, failed=True)
