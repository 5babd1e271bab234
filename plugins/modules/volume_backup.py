#!/usr/bin/python
# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: back up Docker volumes and mounted directories."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_backup
short_description: Back up Docker volumes and the directories mounted into containers
version_added: 0.1.0
description:
  - Writes the content of volumes, and of host directories that are mounted into containers, into a store of backups.
  - A volume whose content has not changed since its newest backup gets no new archive and no downtime.
  - The containers that can write to a volume are paused or stopped while it is read, and put back in every outcome.
  - An archive is a plain tar that C(tar) and C(zstd) alone can restore.
  - One call does all selected volumes. When one fails, the others are backed up all the same, and the task fails at the
    end, naming the failed ones.
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
      - Lists the files that were added, removed or changed since the newest backup, at most one hundred by name.
  idempotent:
    support: full
    details:
      - A volume that a container keeps writing to has changed by the next run.
options:
  volumes:
    description: The names of the volumes to back up.
    type: list
    elements: str
    default: []
  containers:
    description:
      - Names (or full IDs) of containers. Every named volume that they use is backed up, those that they got by
        C(volumes_from) too.
    type: list
    elements: str
    default: []
  compose_project:
    description: The name of a compose project. Its volumes, and those that its containers use, are backed up.
    type: str
  labels:
    description: Labels of volumes, each as V(key) or V(key=value). Volumes that have all of them are backed up.
    type: list
    elements: str
    default: []
  all:
    description: Back up every volume of the engine.
    type: bool
    default: false
  exclude:
    description:
      - Globs on the names of volumes, and on the paths of mounted directories, that are left out.
      - This goes before everything that selects.
    type: list
    elements: str
    default: []
  bind_mounts:
    description:
      - Also back up the host directories that are mounted into the chosen containers (O(containers),
        O(compose_project), or every container with O(all)).
      - Files, sockets and devices that are mounted are left out with a warning.
    type: bool
    default: false
  anonymous:
    description:
      - Also back up anonymous volumes. Their backups are kept as V(CONTAINER:DESTINATION), since their own names change
        whenever the container is made again.
      - An anonymous volume that is named in O(volumes) is backed up in any case.
    type: bool
    default: false
  exclude_paths:
    description:
      - Globs on paths inside a volume that are left out of its archive. They are recorded in the manifest.
      - A glob without a slash matches a name at any depth, one with a slash is anchored at the volume's root. What is
        below a directory that matches is left out too.
    type: list
    elements: str
    default: []
  quiesce:
    description:
      - How the containers that can write to a volume are held still while it is read.
      - V(pause) freezes them. What a database has acknowledged is in the copy, as after a power cut.
      - V(stop) stops them and starts them again. Refused for C(--rm) containers and swarm tasks.
      - V(none) reads while they write. The manifest says when files changed meanwhile.
      - A container's label C(steward.quiesce) with one of these values goes before this option.
      - Whatever needs a container that is stopped (by compose's C(depends_on), by C(network_mode=container), by a link) is
        stopped before it and started after it, unless its own label C(steward.quiesce) is V(none).
    type: str
    choices: [pause, stop, none]
    default: pause
  quiesce_max:
    description:
      - The longest time in seconds that containers are held. When it passes they are put back at once and the backup of
        their volumes fails, so that a store that hangs does not hold an application for ever.
      - V(0) means no limit.
    type: int
    default: 3600
  wait_healthy:
    description:
      - For how many seconds a container that was stopped, started again and has a health check is waited for. Those that
        need it are started only then. When it is not healthy by then, the task fails, and the backup is kept.
      - V(0) means that health is not waited for.
    type: int
    default: 60
  before:
    description:
      - Commands to run in containers before their data is read, by the name of the container.
      - A command is a list of words, or text that is split into words as a shell would, without running one.
      - A container's label C(steward.backup.before) does the same; this option goes before it.
      - A command is run only when a volume that the container uses is about to be backed up, while the container still
        runs. When it fails, those volumes fail before anything is archived.
    type: dict
    default: {}
  after:
    description:
      - Commands to run in containers once their data has been read and they run again, by the name of the container.
      - They are run in every outcome, also when the command of O(before) or the backup fails, and by the next run when
        this one is killed. When one fails, the task fails at its end, and the backup is kept.
      - A container's label C(steward.backup.after) does the same; this option goes before it.
    type: dict
    default: {}
  compression:
    description:
      - How archives are compressed. Without the command C(zstd) on the host, V(gzip) takes the place of V(zstd).
    type: str
    choices: [zstd, gzip, none]
    default: zstd
  compression_level:
    description:
      - The level of the compression, from 1 (fast) to 19 with V(zstd), to 9 with V(gzip).
      - The default is 3 with V(zstd) and 6 with V(gzip).
    type: int
  keep:
    description:
      - Which backups of a volume are kept once a new one is whole. The newest is always kept.
      - Nothing is removed while the newest backup has less than half of the files or bytes of the largest one kept.
      - "The default is C({last: 7, weekly: 4})."
    type: dict
    suboptions:
      last:
        description: So many of the newest.
        type: int
        default: 0
      hourly:
        description: The newest of each of the last so many hours that have one.
        type: int
        default: 0
      daily:
        description: The newest of each of the last so many days that have one.
        type: int
        default: 0
      weekly:
        description: The newest of each of the last so many weeks that have one.
        type: int
        default: 0
      monthly:
        description: The newest of each of the last so many months that have one.
        type: int
        default: 0
      yearly:
        description: The newest of each of the last so many years that have one.
        type: int
        default: 0
  accept_shrink:
    description: The ID of a backup that is meant to be so much smaller than those before it. Old ones are removed again.
    type: str
  force:
    description: Make a new backup even when nothing has changed.
    type: bool
    default: false
  refresh_after:
    description:
      - Make a new backup of an unchanged volume when its newest one was made longer ago than this, for example V(30d).
      - Units are C(s), C(m), C(h), C(d) and C(w); a number alone is seconds.
    type: str
  retries:
    description: How often a backup is repeated when files changed while they were read.
    type: int
    default: 0
seealso:
  - module: steward.docker.volume_restore
  - module: steward.docker.backup_info
"""

EXAMPLES = r"""
- name: Back up every named volume of this host
  steward.docker.volume_backup:
    all: true

- name: Back up all that a container keeps, directories too, while it is stopped
  steward.docker.volume_backup:
    containers: [shop-db]
    bind_mounts: true
    quiesce: stop
    store: /mnt/backups

- name: Let the application write out what it holds in memory before its volume is read
  steward.docker.volume_backup:
    volumes: [shop-data]
    before:
      shop-web: touch /data/flushed
    after:
      shop-web: [rm, /data/flushed]

- name: Back up the volumes with a label and keep a month of them
  steward.docker.volume_backup:
    labels: [backup=daily]
    exclude_paths: ["cache", "*.tmp"]
    keep:
      daily: 7
      weekly: 4
"""

RETURN = r"""
backups:
  description: One item for each selected volume or directory.
  returned: always
  type: list
  elements: dict
  contains:
    volume:
      description: The name under which the backups are kept. Of a directory it is in RV(backups[].path_backed_up).
      returned: for volumes
      type: str
      sample: shop-data
    path_backed_up:
      description: The host directory that is backed up.
      returned: for directories
      type: str
      sample: /srv/shop/uploads
    changed:
      description: Whether a backup was made, or would be in check mode, or old ones were removed.
      type: bool
    reason:
      description: Why a backup was made or not.
      type: str
      sample: 2 files changed, 1 file added
    id:
      description: The ID of the volume's newest backup; empty when there is none yet.
      type: str
      sample: 20261123T151600Z
    path:
      description: The archive of that backup.
      type: str
      sample: /var/backups/docker/shop1/volumes/shop-data/20261123T151600Z.tar.zst
    files:
      description: How many files and other entries that are no directories the backup has.
      type: int
    size:
      description: The bytes of the files' content.
      type: int
    stored:
      description: The bytes that the archive takes in the store.
      type: int
    sha256:
      description: The SHA-256 of the archive.
      type: str
    quiesced:
      description: The containers that were held still, how and for how many seconds.
      type: list
      elements: dict
      sample: [{container: shop-db, action: pause, seconds: 0.412}]
    pruned:
      description: The IDs of the backups that were removed, or would be in check mode.
      type: list
      elements: str
    warnings:
      description: What a person should know about this backup.
      type: list
      elements: str
    failed:
      description: Whether this volume could not be backed up; RV(backups[].reason) says why.
      type: bool
plan:
  description: The intended actions, each with the object's exact ID. Empty when nothing was to be done.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: volume
      id: shop-data
      name: shop-data
      action: back up
      reason: 2 files changed
      bytes: 1048576
store:
  description: The store's directory and its own ID.
  returned: always
  type: dict
  sample: {path: /var/backups/docker, id: 4f0c6b0e-6d0c-4f0c-9d3f-0c6b0e6d0c4f}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.steward.docker.plugins.module_utils._backup.backup import BackupJob
from ansible_collections.steward.docker.plugins.module_utils._job import run_job
from ansible_collections.steward.docker.plugins.module_utils._options import (
    LOCK_OPTIONS,
    STORE_OPTIONS,
    connection_spec,
)

KEEP_OPTIONS = {
    unit: {"type": "int", "default": 0} for unit in ("last", "hourly", "daily", "weekly", "monthly", "yearly")
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=connection_spec(
            **STORE_OPTIONS,
            **LOCK_OPTIONS,
            volumes={"type": "list", "elements": "str", "default": []},
            containers={"type": "list", "elements": "str", "default": []},
            compose_project={"type": "str"},
            labels={"type": "list", "elements": "str", "default": []},
            all={"type": "bool", "default": False},
            exclude={"type": "list", "elements": "str", "default": []},
            bind_mounts={"type": "bool", "default": False},
            anonymous={"type": "bool", "default": False},
            exclude_paths={"type": "list", "elements": "str", "default": []},
            quiesce={"type": "str", "choices": ["pause", "stop", "none"], "default": "pause"},
            quiesce_max={"type": "int", "default": 3600},
            wait_healthy={"type": "int", "default": 60},
            before={"type": "dict", "default": {}},
            after={"type": "dict", "default": {}},
            compression={"type": "str", "choices": ["zstd", "gzip", "none"], "default": "zstd"},
            compression_level={"type": "int"},
            keep={"type": "dict", "options": KEEP_OPTIONS},
            accept_shrink={"type": "str"},
            force={"type": "bool", "default": False},
            refresh_after={"type": "str"},
            retries={"type": "int", "default": 0},
        ),
        supports_check_mode=True,
    )
    run_job(module, lambda: BackupJob(module.params, check_mode=module.check_mode, diff=module._diff))


if __name__ == "__main__":
    main()
