#!/usr/bin/python
# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: list the backups of a store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List, prove and watch over the backups of a store
version_added: 0.1.0
description:
  - Lists the backups that a store has, of one host or of all, and proves on request that they are whole.
  - Names what a person has to look after, that is damaged backups, those that are too old, and volumes in use that have
    none.
  - Changes nothing. It never fails because of what it finds; use its result in P(ansible.builtin.assert#module) for that.
  - The store is enough. Without a Docker Engine, or without the Docker SDK, O(host) or O(all_hosts) is needed, and what only
    an engine can tell is left empty; RV(engine_problem) says why.
author:
  - The steward.docker contributors (@steward-docker)
extends_documentation_fragment:
  - steward.docker.connection
  - steward.docker.attributes
  - steward.docker.attributes.store
attributes:
  check_mode:
    support: full
    details:
      - It changes nothing in any mode.
  diff_mode:
    support: N/A
    details:
      - It changes nothing.
  idempotent:
    support: full
options:
  all_hosts:
    description: List the backups of every host that shares the store.
    type: bool
    default: false
  volumes:
    description:
      - Only the backups of these volumes, by the names under which they are kept; of an anonymous one that is
        C(CONTAINER:DESTINATION).
      - A name that has no backup is an error.
    type: list
    elements: str
    default: []
  paths:
    description: Only the backups of these host directories.
    type: list
    elements: path
    default: []
  verify:
    description:
      - How far to prove the backups whole.
      - V(none) looks at the manifests, and at the sizes of the files.
      - V(checksum) reads the archives and indexes and compares their SHA-256 with the manifest.
      - V(full) reads every archive to its end, and compares each member's metadata and content with the index.
    type: str
    choices: [none, checksum, full]
    default: none
  max_age:
    description:
      - List in RV(stale) what was neither backed up nor found unchanged for longer than this, for example V(26h) or V(2d).
      - The units are V(s), V(m), V(h), V(d) and V(w); without one, seconds.
    type: str
seealso:
  - module: steward.docker.volume_backup
  - module: steward.docker.volume_restore
"""

EXAMPLES = r"""
- name: Look at the backups of this host
  steward.docker.backup_info:
    max_age: 26h
  register: found

- name: Alarm when a volume is not protected
  ansible.builtin.assert:
    that:
      - found.unprotected == []
      - found.damaged == []
      - found.stale == []
    quiet: true

- name: Prove every backup of a store, of all hosts, where no engine runs
  steward.docker.backup_info:
    store: /mnt/backups
    all_hosts: true
    verify: full
"""

RETURN = r"""
backups:
  description: One item for each backup, those of one volume together, the newest first.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The name of the host under which the backup is kept.
      type: str
    volume:
      description: The name under which the volume's backups are kept.
      returned: for volumes
      type: str
    path_backed_up:
      description: The host directory.
      returned: for directories
      type: str
    id:
      description: The backup's ID.
      type: str
      sample: 20261123T151600Z
    status:
      description: V(whole) or V(damaged), as far as O(verify) looked.
      type: str
    damage:
      description: What is wrong with it.
      type: str
    latest:
      description: Whether it is what a restore without O(steward.docker.volume_restore#module:backup) would take.
      type: bool
    created_at:
      description: When it was made, UTC. This and what follows is missing when the manifest cannot be read.
      type: str
      sample: "2026-11-23T15:16:00Z"
    confirmed_at:
      description: When a run last found the volume to be as this backup has it.
      type: str
    age:
      description: The seconds since RV(backups[].confirmed_at).
      type: int
    path:
      description: The archive.
      type: str
    files:
      description: How many files and other entries that are no directories it has.
      type: int
    size:
      description: The bytes of the files' content.
      type: int
    stored:
      description: The bytes of the archive.
      type: int
    sha256:
      description: The SHA-256 of the archive.
      type: str
    quiesce:
      description: How its writers were held still.
      type: str
    consistent:
      description: Whether no file was seen to change while it was read.
      type: bool
    road:
      description: V(path) when it was read on the host, V(engine) when through the engine.
      type: str
    lost:
      description: What the engine's road does not carry.
      type: list
      elements: str
    group:
      description: The ID that it shares with the backups made at the same moment; empty without such.
      type: str
    warnings:
      description: What was said when it was made.
      type: list
      elements: str
damaged:
  description: The items of RV(backups) that are damaged. A restore never takes them for the latest.
  returned: always
  type: list
  elements: dict
stale:
  description: What has no whole backup, or none that was made or confirmed within O(max_age).
  returned: always
  type: list
  elements: dict
  sample: [{host: shop1, volume: shop-data, age: 190000, reason: last confirmed 2 d 4 h ago}]
unprotected:
  description: The named volumes that a container of this engine uses and that have no whole backup in the store.
  returned: always
  type: list
  elements: str
unprotected_anonymous:
  description: The same of anonymous volumes, as C(CONTAINER:DESTINATION).
  returned: always
  type: list
  elements: str
previous:
  description: The trees that restores have replaced and kept on this host. They take space until they are removed.
  returned: always
  type: list
  elements: dict
  sample:
    - volume: shop-data
      path: /var/lib/docker/volumes/shop-data/.steward-previous-20261123T160000Z@_data/tree
      replaced_at: 1795449600
      backup: 20261123T151600Z
totals:
  description: How many subjects and backups are listed, how many are damaged, and the bytes of the archives.
  returned: always
  type: dict
  sample: {subjects: 4, backups: 31, damaged: 0, stored: 734003200}
host:
  description: The name under which this engine's backups are kept; empty when it is not known.
  returned: always
  type: str
hosts:
  description: The hosts that have backups in the store.
  returned: always
  type: list
  elements: str
engine_reached:
  description: Whether an engine could be asked for RV(unprotected), RV(unprotected_anonymous) and RV(previous).
  returned: always
  type: bool
engine_problem:
  description: Why no engine could be asked.
  returned: always
  type: str
store:
  description: The store's directory and its own ID.
  returned: always
  type: dict
  sample: {path: /var/backups/docker, id: 4f0c6b0e-6d0c-4f0c-9d3f-0c6b0e6d0c4f}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.steward.docker.plugins.module_utils._backup.info import Question
from ansible_collections.steward.docker.plugins.module_utils._job import run_query
from ansible_collections.steward.docker.plugins.module_utils._options import STORE_OPTIONS, connection_spec


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=connection_spec(
            **STORE_OPTIONS,
            all_hosts={"type": "bool", "default": False},
            volumes={"type": "list", "elements": "str", "default": []},
            paths={"type": "list", "elements": "path", "default": []},
            verify={"type": "str", "choices": ["none", "checksum", "full"], "default": "none"},
            max_age={"type": "str"},
        ),
        supports_check_mode=True,
    )
    run_query(module, lambda: Question(module.params).answer())


if __name__ == "__main__":
    main()
