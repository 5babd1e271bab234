# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extended attributes and ACLs as one digest, equal whether they come from a file or from a tar's headers."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

# A label of another host's policy is no data: a restored tree takes the label of the place it comes to.
LABEL = b"security.selinux"
ACL = b"system.posix_acl_"
_NAMESPACES = (b"user.", b"trusted.", b"security.", ACL)
_NONE = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT)
# The kernel's form of an ACL (linux/posix_acl_xattr.h): a version, then a tag, permissions and an ID for each entry.
_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")
_NOBODY = 0xFFFFFFFF
_PLAIN_TAGS = {b"user": 1, b"group": 4, b"mask": 16, b"other": 32}
_NAMED_TAGS = {b"user": 2, b"group": 8}
_SAME_AS_MODE = {1, 4, 32}
_PERMISSIONS = {ord("r"): 4, ord("w"): 2, ord("x"): 1}


def acl_attribute(text: bytes, *, access: bool) -> bytes:
    """Return the kernel's form of an ACL's text (acl(5)); empty for one of access that says no more than a file's mode.

    Raise ValueError for what is no ACL, and for a user or group that this host does not know.
    """
    entries: list[tuple[int, int, int]] = []
    for line in text.replace(b",", b"\n").split(b"\n"):
        words = line.split(b"#")[0].strip().split(b":")
        if words == [b""]:
            continue
        if len(words) < 3 or words[0] not in _PLAIN_TAGS:
            raise ValueError("an access control list that is none")
        kind, name, letters = words[:3]
        allowed = sum(_PERMISSIONS.get(letter, 0) for letter in letters)
        if name and kind in _NAMED_TAGS:
            entries.append((_NAMED_TAGS[kind], allowed, _identifier(kind, name)))
        else:
            entries.append((_PLAIN_TAGS[kind], allowed, _NOBODY))
    if access and {tag for tag, _allowed, _id in entries} <= _SAME_AS_MODE:
        return b""
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    return _ACL_VERSION + b"".join(_ACL_ENTRY.pack(*entry) for entry in entries)


def _identifier(kind: bytes, name: bytes) -> int:
    if name.isdigit():
        return int(name)
    try:
        text = os.fsdecode(name)
        return pwd.getpwnam(text).pw_uid if kind == b"user" else grp.getgrnam(text).gr_gid
    except KeyError:
        raise ValueError(f"an access control list names the {kind.decode()} {text}, which this host has not") from None


def digest(attributes: Mapping[bytes, bytes]) -> str:
    """Return one digest over the attributes that are data, ACLs among them; "" when there are none."""
    known = {name: value for name, value in attributes.items() if name.startswith(_NAMESPACES) and name != LABEL}
    if not known:
        return ""
    total = sha256()
    for name in sorted(known):
        total.update(struct.pack("<II", len(name), len(known[name])) + name + known[name])
    return total.hexdigest()


def digest_of(place: Union[int, str], *, follow: bool = False) -> str:
    """Return the digest of what a file has: by descriptor, or by a path, of which a link at the end is not followed."""
    follows = follow or isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follows)
    except OSError as error:
        if error.errno in _NONE:
            return ""
        raise
    attributes: dict[bytes, bytes] = {}
    for text in names:
        name = os.fsencode(text)
        if not name.startswith(_NAMESPACES):
            continue
        try:
            attributes[name] = os.getxattr(place, name, follow_symlinks=follows)
        except OSError as error:
            if error.errno not in _NONE:
                raise
    return digest(attributes)
