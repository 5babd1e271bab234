# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root directory of a tree takes over what belongs to its place rather than to the data."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct

from ansible_collections.steward.docker.plugins.module_utils._backup.xattrs import LABEL

# struct fsxattr of linux/fs.h: flags, extent size, extents, project ID, and what is of no concern here.
_FSXATTR = struct.Struct("=IIIII8s")
_GET_FSXATTR = 0x801C581F
_SET_FSXATTR = 0x401C5820
_PROJECT_INHERIT = 0x200
_UNKNOWN_HERE = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENODATA)


def take_label(old_root: str, new_root: str) -> None:
    """Give the new root the old one's SELinux label: that of the backup's host would be another policy's."""
    try:
        os.setxattr(new_root, LABEL, os.getxattr(old_root, LABEL))
    except OSError as error:
        if error.errno not in _UNKNOWN_HERE:
            raise


def take_project(old_root: str, new_root: str) -> None:
    """Give the new, still empty root the old one's project ID, which what is made in it inherits: quotas count by it."""
    old, new = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (old_root, new_root))
    try:
        flags, extent, _extents, project, cow, padding = _FSXATTR.unpack(
            fcntl.ioctl(old, _GET_FSXATTR, bytes(_FSXATTR.size))
        )
        if project:
            wanted = _FSXATTR.pack(flags & _PROJECT_INHERIT, extent, 0, project, cow, padding)
            fcntl.ioctl(new, _SET_FSXATTR, wanted)
    except OSError as error:
        if error.errno not in _UNKNOWN_HERE:
            raise
    finally:
        os.close(old)
        os.close(new)


def take_owner_and_mode(old_root: str, new_root: str) -> None:
    """Give the new root the old one's owner, mode, attributes and ACLs: for an archive that says nothing of its root."""
    status = os.stat(old_root)
    os.chown(new_root, status.st_uid, status.st_gid)
    shutil.copystat(old_root, new_root)
