# SPDX-License-Identifier: GPL-3.0-or-later
"""Globs that leave paths out."""

from __future__ import annotations

import os

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes

_TABLE = {
    "a name at the root": ("cache", "cache", True),
    "a name at any depth": ("cache", "a/b/cache", True),
    "what is below it": ("cache", "a/cache/x/y", True),
    "a name that begins so": ("cache", "cached", False),
    "a name that ends so": ("cache", "my-cache", False),
    "another case": ("cache", "Cache", False),
    "a star": ("*.tmp", "a/x.tmp", True),
    "a star may be nothing": ("*.tmp", ".tmp", True),
    "a star and a directory": ("*.tmp", "x.tmp/y", True),
    "a star ends at a slash": ("a*z", "a/z", False),
    "a star and a newline": ("a*z", "a\nz", True),
    "a dot is a dot": ("x.tmp", "x_tmp", False),
    "a question mark": ("?.log", "a.log", True),
    "a question mark is one": ("?.log", "ab.log", False),
    "a question mark is no slash": ("a?b", "a/b", False),
    "a question mark is one letter": ("?.log", "é.log", True),
    "a set": ("[ab].log", "b.log", True),
    "what is not in a set": ("[ab].log", "c.log", False),
    "a range": ("[0-9]*", "7up", True),
    "an inverted set": ("[!ab].log", "c.log", True),
    "what is in an inverted set": ("[!ab].log", "a.log", False),
    "a set with a letter": ("[éa].log", "é.log", True),
    "a backslash in a set": (r"[\d].log", "5.log", False),
    "an open bracket": ("a[b", "a[b", True),
    "a set with an exclamation mark alone": ("[!]", "[!]", True),
    "a set in the wrong order": ("[z-a]", "z", False),
    "signs of regular expressions": ("a+(b)|{c}^$", "a+(b)|{c}^$", True),
    "an alternative is none": ("a|b", "a", False),
    "a backslash": ("a\\b", "a\\b", True),
    "a path from the root": ("a/b", "a/b", True),
    "a path further down": ("a/b", "x/a/b", False),
    "what is below a path": ("a/b", "a/b/c", True),
    "a star in a path": ("a/*/c", "a/b/c", True),
    "a star in a path is one name": ("a/*/c", "a/b/b/c", False),
    "two stars": ("a/**/c", "a/b/b/c", True),
    "two stars may be nothing": ("a/**/c", "a/c", True),
    "two stars before": ("**/c", "a/b/c", True),
    "two stars before, at the root": ("**/c", "c", True),
    "two stars behind": ("a/**", "a/b/c", True),
    "two stars behind keep the directory": ("a/**", "a", False),
    "a slash before is the root": ("/cache", "cache", True),
    "a slash before is only the root": ("/cache", "a/cache", False),
    "a slash behind": ("cache/", "cache", True),
    "a slash behind, and what is below": ("cache/", "cache/x", True),
    "a letter": ("é*", "a/étude", True),
    "a stray byte": (os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9"), True),
    "a star and stray bytes": ("*.log", os.fsdecode(b"\xff\xfe.log"), True),
    "a space": ("my data", "my data", True),
    "an empty glob": ("", "a", False),
    "the root is never left out by a star": ("*", "", False),
    "the root is never left out by two stars": ("**", "", False),
    "the root is never left out by nothing": ("", "", False),
}


@pytest.mark.parametrize(("glob", "path", "matches"), _TABLE.values(), ids=_TABLE.keys())
def test_a_glob_leaves_out(glob: str, path: str, matches: bool) -> None:
    assert Excludes([glob]).match(os.fsencode(path)) == matches


@pytest.mark.parametrize(
    ("path", "matches"),
    [(b"cache", True), (b"x/cache/y", True), (b"a/b", True), (b"x/a/b", False), (b"a/b.tmp", True), (b"a/c", False)],
)
def test_each_of_several_globs_counts(path: bytes, matches: bool) -> None:
    assert Excludes(["cache", "a/b", "*.tmp"]).match(path) == matches


def test_no_globs_leave_nothing_out() -> None:
    assert not Excludes(())
    assert not Excludes(()).match(b"a")
    assert Excludes(["a"])
