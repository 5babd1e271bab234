# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that every module declares."""

from __future__ import annotations


class ModuleDocFragment:
    """Check mode, diff mode, platform and action group."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do, without changing anything.
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: When run twice in a row, with nothing else changing in between, the second run changes nothing.
  platform:
    description: Target operating systems that the module can be run on.
    support: full
    platforms: Linux
  action_group:
    description: Use C(group/steward.docker.docker) in C(module_defaults) to set the connection options for this module.
    support: full
    membership:
      - steward.docker.docker
"""

    STORE = r"""
options:
  store:
    description:
      - The directory in which the backups are kept. It can be shared by many hosts, on a network file system for example.
    type: path
    default: /var/backups/docker
  host:
    description:
      - The name under which this engine's backups are kept in O(store).
      - The default is the name that the engine has for its host (C(docker info), field C(Name)).
    type: str
"""

    LOCK = r"""
options:
  lock_timeout:
    description:
      - How many seconds to wait for another run that works on the same volume or directory.
    type: int
    default: 600
"""
