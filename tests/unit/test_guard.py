# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of an archive must not be extracted."""

from __future__ import annotations

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry
from ansible_collections.steward.docker.plugins.module_utils._backup.guard import Guard
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError


def _file(path: bytes) -> Entry:
    return Entry(path, "f")


def _link(path: bytes, target: bytes = b"/etc") -> Entry:
    return Entry(path, "l", target=target)


def _hard(path: bytes, target: bytes) -> Entry:
    return Entry(path, "h", target=target)


def _directory(path: bytes) -> Entry:
    return Entry(path, "d")


def _judge(members: list[Entry], strip: int = 0) -> None:
    guard = Guard(strip)
    for member in members:
        guard.judge(member)


_HARMLESS = {
    "an ordinary tree": [_directory(b"./"), _directory(b"./a/"), _file(b"./a/b"), _hard(b"./c", b"a/b")],
    "names without a dot before": [_directory(b"a"), _file(b"a/b")],
    "dots that are names": [_file(b"..."), _file(b"a/..b"), _file(b"a/b.."), _file(b".hidden")],
    "a link that leads outside, with nothing below": [_link(b"a", b"../../etc"), _file(b"b")],
    "a link with a name that begins another": [_link(b"a"), _file(b"ab"), _file(b"a.d/x"), _file(b"a-b")],
    "a link inside of a directory": [_directory(b"d"), _link(b"d/l"), _file(b"d/f"), _file(b"l/f")],
    "a link that comes twice": [_link(b"a"), _link(b"a", b"b")],
    "a hard link to what is there": [_file(b"./a"), _hard(b"./b", b"./a")],
    "a hard link to a link": [_link(b"a"), _hard(b"b", b"a")],
}


@pytest.mark.parametrize("members", _HARMLESS.values(), ids=_HARMLESS.keys())
def test_what_stays_inside_passes(members: list[Entry]) -> None:
    _judge(members)


_ABSOLUTE, _UP = "has an absolute name", r"has \.\. in its name"
_THROUGH, _SAME = "would be written through a symbolic link", "has the name of a symbolic link"
_HARMFUL = {
    "an absolute name": ([_file(b"/etc/passwd")], _ABSOLUTE),
    "an absolute name with two slashes": ([_file(b"//etc/passwd")], _ABSOLUTE),
    "an absolute directory": ([_directory(b"/")], _ABSOLUTE),
    "an absolute link": ([_link(b"/a")], _ABSOLUTE),
    "up": ([_file(b"../a")], _UP),
    "up alone": ([_directory(b"..")], _UP),
    "up behind a dot": ([_file(b"./../a")], _UP),
    "up in the middle": ([_file(b"a/../../b")], _UP),
    "up at the end": ([_directory(b"a/..")], _UP),
    "up behind two slashes": ([_file(b"a//..//b")], _UP),
    "up and back inside": ([_file(b"a/../b")], _UP),
    "through a link": ([_link(b"a"), _file(b"a/b")], _THROUGH),
    "far through a link": ([_link(b"a"), _file(b"a/b/c/d")], _THROUGH),
    "through a link further down": ([_directory(b"d"), _link(b"d/a"), _file(b"d/a/b")], _THROUGH),
    "through a link that is written otherwise": ([_link(b"./a"), _file(b"a//b")], _THROUGH),
    "through a link with a slash behind it": ([_link(b"a/"), _file(b"a/b")], _THROUGH),
    "through a link, with dots between": ([_link(b"d/./a"), _file(b"d/a/./b")], _THROUGH),
    "through a link that replaced a directory": (
        [_directory(b"a"), _file(b"a/x"), _link(b"a"), _file(b"a/b")],
        _THROUGH,
    ),
    "a link through a link": ([_link(b"a"), _link(b"a/b")], _THROUGH),
    "a directory through a link": ([_link(b"a"), _directory(b"a/b")], _THROUGH),
    "through a link that is another name of one": ([_link(b"a"), _hard(b"b", b"a"), _file(b"b/c")], _THROUGH),
    "a file with the name of a link": ([_link(b"a"), _file(b"a")], _SAME),
    "a directory with the name of a link": ([_link(b"a"), _directory(b"a/")], _SAME),
    "a hard link with the name of a link": ([_file(b"f"), _link(b"a"), _hard(b"a", b"f")], _SAME),
    "a file with the name of another name of a link": ([_link(b"a"), _hard(b"b", b"a"), _file(b"b")], _SAME),
    "a hard link to an absolute name": ([_hard(b"a", b"/etc/shadow")], _ABSOLUTE),
    "a hard link that leads up": ([_hard(b"a", b"../../etc/shadow")], _UP),
    "a hard link that leads up behind a dot": ([_hard(b"a", b"./../x")], _UP),
    "a hard link through a link": ([_link(b"a"), _hard(b"b", b"a/shadow")], _THROUGH),
}


@pytest.mark.parametrize(("members", "message"), _HARMFUL.values(), ids=_HARMFUL.keys())
def test_what_leads_outside_is_refused(members: list[Entry], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        _judge(members)


@pytest.mark.parametrize("members", [members for members, _message in _HARMFUL.values()], ids=_HARMFUL.keys())
def test_only_the_last_of_the_harmful_members_is_the_harm(members: list[Entry]) -> None:
    _judge(members[:-1])


@pytest.mark.parametrize(
    ("members", "strip", "refused"),
    [
        pytest.param([_link(b"x/a"), _file(b"y/a/b")], 1, True, id="two names become one below a link"),
        pytest.param([_link(b"x/a"), _file(b"y/a/b")], 0, False, id="which they are not when nothing is stripped"),
        pytest.param([_link(b"x/a"), _file(b"y/a")], 1, True, id="a file comes to the name of a link"),
        pytest.param([_link(b"a"), _file(b"a/b")], 1, False, id="a link that is stripped away is none"),
        pytest.param([_file(b"../a")], 1, True, id="a way up that would be stripped away"),
        pytest.param([_file(b"/a/b")], 1, True, id="an absolute name of which the first part would be"),
        pytest.param([_link(b"x/a"), _hard(b"x/h", b"y/a/f")], 1, True, id="a hard link's target is stripped too"),
    ],
)
def test_names_are_judged_as_they_are_once_stripped(members: list[Entry], strip: int, refused: bool) -> None:
    if refused:
        with pytest.raises(ArchiveError):
            _judge(members, strip)
    else:
        _judge(members, strip)


def test_the_message_names_the_member_as_the_archive_has_it() -> None:
    with pytest.raises(ArchiveError, match=r"its member \./caf\\xe9/\.\./\\n has"):
        _judge([_file(b"./caf\xe9/../\n")])
