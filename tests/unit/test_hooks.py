# SPDX-License-Identifier: GPL-3.0-or-later
"""Which commands are run in containers before and after their data is read."""

from __future__ import annotations

from typing import Any

import pytest
from builders import container

from ansible_collections.steward.docker.plugins.module_utils._backup.hooks import command_of, plan_hooks
from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError

_COMMANDS = {
    "text": ("redis-cli save", ["redis-cli", "save"]),
    "text with quotes": ("sh -c 'echo \"$HOME\"; sync'", ["sh", "-c", 'echo "$HOME"; sync']),
    "a list": (["a b", "-c", ""], ["a b", "-c", ""]),
}


@pytest.mark.parametrize(("given", "words"), _COMMANDS.values(), ids=_COMMANDS.keys())
def test_a_command_is_words_or_text_that_is_split(given: Any, words: list[str]) -> None:
    assert command_of(given, "It") == words


@pytest.mark.parametrize("given", ["", "   ", [], "it's", 5, None, ["a", 1], {"a": "b"}], ids=repr)
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(RefusedError, match="It is"):
        command_of(given, "It")


def _labelled(name: str, state: str = "running", **labels: str) -> Any:
    return container(name, state=state, labels={f"steward.backup.{key}": value for key, value in labels.items()})


_PLANS: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any], list[Any]]] = {
    "none": ([container("a")], {}, {}, []),
    "by label": ([_labelled("a", before="x 1", after="y")], {}, {}, [("a", ["x", "1"], ["y"])]),
    "by option": ([container("a")], {"a": "x"}, {"a": ["y"]}, [("a", ["x"], ["y"])]),
    "the option goes first": ([_labelled("a", before="x")], {"a": "z"}, {}, [("a", ["z"], [])]),
    "only after": ([_labelled("a", after="y")], {}, {}, [("a", [], ["y"])]),
    "in those that run": (
        [_labelled("a", before="x", state=state) for state in ("exited", "paused", "restarting", "created", "dead")],
        {},
        {},
        [],
    ),
    "by name": (
        [_labelled("b", before="x"), _labelled("a", before="x")],
        {},
        {},
        [("a", ["x"], []), ("b", ["x"], [])],
    ),
    "of those who use the data only": ([container("a")], {"b": "x"}, {}, []),
}


@pytest.mark.parametrize(("users", "before", "after", "expected"), _PLANS.values(), ids=_PLANS.keys())
def test_the_commands_of_the_users(
    users: list[Any], before: dict[str, Any], after: dict[str, Any], expected: list[Any]
) -> None:
    found = [(hook.container.name, hook.before, hook.after) for hook in plan_hooks(users, before, after)]
    assert found == expected
