#!/usr/bin/python
# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: restore a backup of a Docker volume or directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_restore
short_description: Restore a backup of a Docker volume or a directory
version_added: 0.1.0
description:
  - Brings the content of a volume, or of a host directory, back to what it was in a backup.
  - The backup is extracted beside the data and proven whole. Only then are the containers that use the data stopped, the
    two directories change places in one step, and the containers are started again. When they do not come up, the old data
    is put back.
  - Data that already equals the backup is left alone, and no container is touched.
  - A volume that is missing is made again, with its recorded driver, options and labels.
  - Every container that uses the data is stopped, also one that only reads it, since it would go on seeing the old data.
    A container that was started with C(--rm), a swarm task or a paused one is refused before anything is touched.
  - A container that only mounts a directory above the data sees the restored data by itself; it is not stopped but named in
    a warning.
author:
  - The steward.docker contributors (@steward-docker)
extends_documentation_fragment:
  - steward.docker.connection
  - steward.docker.attributes
  - steward.docker.attributes.store
  - steward.docker.attributes.lock
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Lists the files that come back, go and change, at most one hundred by name.
  idempotent:
    support: full
    details:
      - Data that a container writes to differs from the backup by the next run. See O(only_if).
options:
  volume:
    description:
      - The name of the volume whose backup is restored, or C(CONTAINER:DESTINATION) of an anonymous one.
      - Exactly one of O(volume) and O(path) is needed.
    type: str
  path:
    description: The host directory whose backup is restored; it was backed up as a directory mounted into a container.
    type: path
  backup:
    description:
      - V(latest), the ID of a backup, or the absolute path of an archive (C(.tar), C(.tar.gz) or C(.tar.zst)), also of one
        made elsewhere.
      - The default is V(latest), unless O(at) is given.
    type: str
  at:
    description:
      - Restore the newest backup made at this time or before it, for example V(2026-11-23T15:16:00Z).
      - The time is UTC unless it says otherwise.
    type: str
  to:
    description:
      - Another volume, or the absolute path of a directory, to restore into. It is made when it is missing; a volume then
        is a plain local one.
    type: str
  only_if:
    description:
      - V(different) restores whenever the data is not as in the backup.
      - V(empty) restores only into an empty or missing volume, V(missing) only when it is missing. These two seed a volume
        and never take back what an application has written since.
    type: str
    choices: [different, empty, missing]
    default: different
  undo:
    description:
      - Take back the last restore, by the data that it replaced. Doing so twice changes nothing the second time.
    type: bool
    default: false
  keep_previous:
    description:
      - Keep the data that is replaced, beside the new, for O(undo). The next restore replaces it.
    type: bool
    default: true
  previous_max_age:
    description:
      - Remove the data that an earlier restore replaced once it is older than this, for example V(7d).
      - Units are C(s), C(m), C(h), C(d) and C(w); a number alone is seconds. It is not removed while a process still has it
        mounted.
    type: str
  strip_components:
    description: Of an archive made elsewhere, drop so many leading directories of every name.
    type: int
    default: 0
  subdir:
    description: Of an archive made elsewhere, restore only what is below this directory, after O(strip_components).
    type: str
  wait_healthy:
    description:
      - How many seconds to wait until the containers that were started again run and, where they have a health check, are
        healthy. When they are not by then, the data from before is put back.
    type: int
    default: 60
seealso:
  - module: steward.docker.volume_backup
  - module: steward.docker.backup_info
"""

EXAMPLES = r"""
- name: Restore the latest backup of a volume
  steward.docker.volume_restore:
    volume: shop-data

- name: Look at last Monday's data without touching today's
  steward.docker.volume_restore:
    volume: shop-data
    at: "2026-11-23T09:00:00Z"
    to: shop-data-monday

- name: Take back the last restore
  steward.docker.volume_restore:
    volume: shop-data
    undo: true

- name: Seed a new volume from an archive that was made elsewhere
  steward.docker.volume_restore:
    volume: shop-data
    backup: /srv/seed/shop.tar.gz
    strip_components: 1
    only_if: empty
"""

RETURN = r"""
restored:
  description: What was restored. Empty when nothing was, and in check mode.
  returned: always
  type: dict
  contains:
    volume:
      description: The volume that was restored into.
      returned: for volumes
      type: str
      sample: shop-data
    path:
      description: The directory that was restored into.
      returned: for directories
      type: str
      sample: /srv/shop/uploads
    backup:
      description: The backup's ID, or the path of an archive made elsewhere.
      type: str
      sample: 20261123T151600Z
    files:
      description: How many files and other entries that are no directories were restored.
      type: int
    size:
      description: The bytes of the files' content.
      type: int
    verified:
      description: Whether the archive was proven whole before anything was touched.
      type: bool
    previous:
      description: Where the data that was replaced is kept; empty when it is not.
      type: str
reason:
  description: Why it was restored or not.
  returned: always
  type: str
  sample: 2 changed, 1 removed
quiesced:
  description: The containers that were stopped and started again, and for how many seconds.
  returned: always
  type: list
  elements: dict
  sample: [{container: shop-db, action: stop, seconds: 1.318}]
plan:
  description: The intended actions, each with the object's exact ID. Empty when nothing was to be done.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: volume
      id: shop-data
      name: shop-data
      action: restore
      reason: "restore 20261123T151600Z: 2 changed"
      bytes: 1048576
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.steward.docker.plugins.module_utils._backup.restore import RestoreJob
from ansible_collections.steward.docker.plugins.module_utils._backup.undo import UndoJob
from ansible_collections.steward.docker.plugins.module_utils._job import run_job
from ansible_collections.steward.docker.plugins.module_utils._options import (
    LOCK_OPTIONS,
    STORE_OPTIONS,
    connection_spec,
)

# With undo, what is restored is not a backup.
_NOT_WITH_UNDO = ("backup", "at", "previous_max_age", "subdir")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=connection_spec(
            **STORE_OPTIONS,
            **LOCK_OPTIONS,
            volume={"type": "str"},
            path={"type": "path"},
            backup={"type": "str"},
            at={"type": "str"},
            to={"type": "str"},
            only_if={"type": "str", "choices": ["different", "empty", "missing"], "default": "different"},
            undo={"type": "bool", "default": False},
            keep_previous={"type": "bool", "default": True},
            previous_max_age={"type": "str"},
            strip_components={"type": "int", "default": 0},
            subdir={"type": "str"},
            wait_healthy={"type": "int", "default": 60},
        ),
        mutually_exclusive=[("volume", "path"), ("backup", "at")],
        required_one_of=[("volume", "path")],
        supports_check_mode=True,
    )
    params = module.params
    if params["undo"]:
        contradicting = [option for option in _NOT_WITH_UNDO if params[option]]
        if contradicting:
            module.fail_json(
                msg=f"undo takes back the last restore and needs no backup: leave out {', '.join(contradicting)}."
            )
        run_job(module, lambda: UndoJob(params, check_mode=module.check_mode))
    run_job(module, lambda: RestoreJob(params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
