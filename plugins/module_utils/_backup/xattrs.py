# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extended attributes and ACLs as one digest, equal whether they come from a file or from a tar's headers."""

from __future__ import annotations

import errno
import os
import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

# A label of another host's policy is no data: a restored tree takes the label of the place it comes to.
LABEL = b"security.selinux"
_ACL_ATTRIBUTES = {b"system.posix_acl_access": b"access", b"system.posix_acl_default": b"default"}
_NAMESPACES = (b"user.", b"trusted.", b"security.")
_NONE = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT)
_TAGS = {1: b"user:", 2: b"user:", 4: b"group:", 8: b"group:", 16: b"mask:", 32: b"other:"}
_NAMED = (2, 8)


def acl_text(binary: bytes) -> bytes:
    """Return an ACL's kernel form (linux/posix_acl_xattr.h) as the short text of acl(5), one entry a line."""
    lines: list[bytes] = []
    for tag, permissions, identifier in struct.iter_unpack("<HHI", binary[4:]):
        name = str(identifier).encode() if tag in _NAMED else b""
        allowed = bytes(
            letter if permissions & bit else ord("-") for letter, bit in ((ord("r"), 4), (ord("w"), 2), (ord("x"), 1))
        )
        lines.append(_TAGS[tag] + name + b":" + allowed)
    return b"\n".join(lines)


def plain_acl(text: bytes) -> bytes:
    """Return an ACL's text without comments; empty when it says no more than a file's mode."""
    lines = [line.split(b"#")[0].strip() for line in text.replace(b",", b"\n").split(b"\n")]
    kept = [line for line in lines if line]
    return b"\n".join(kept) if len(kept) > 3 or any(line.startswith(b"mask") for line in kept) else b""


def digest(attributes: Mapping[bytes, bytes], acls: Mapping[bytes, bytes]) -> str:
    """Return one digest over attributes and ACL texts (`access`, `default`); "" when there are none."""
    known = {name: value for name, value in attributes.items() if name.startswith(_NAMESPACES) and name != LABEL}
    known.update({b"acl." + kind: text for kind, text in acls.items() if text})
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
    if not names:
        return ""
    attributes: dict[bytes, bytes] = {}
    acls: dict[bytes, bytes] = {}
    for text in names:
        name = os.fsencode(text)
        if not (name in _ACL_ATTRIBUTES or name.startswith(_NAMESPACES)):
            continue
        try:
            value = os.getxattr(place, name, follow_symlinks=follows)
        except OSError as error:
            if error.errno in _NONE:
                continue
            raise
        if name in _ACL_ATTRIBUTES:
            kind = _ACL_ATTRIBUTES[name]
            acls[kind] = plain_acl(acl_text(value)) if kind == b"access" else acl_text(value)
        else:
            attributes[name] = value
    return digest(attributes, acls)
