# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module as a process of its own, without Ansible around it: its system calls are the module's alone.

The arguments come as JSON on standard input, and the result goes to standard output.
"""

from __future__ import annotations

import importlib
import json
import sys

from ansible.module_utils.testing import patch_module_args

_MODULES = "ansible_collections.steward.docker.plugins.modules"

if __name__ == "__main__":
    with patch_module_args(json.load(sys.stdin)):
        importlib.import_module(f"{_MODULES}.{sys.argv[1]}").main()
