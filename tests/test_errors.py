"""Errors that reach users."""

import pickle

import pytest

from magkit.errors import MagkitError, UsageError, did_you_mean, nearest


@pytest.mark.parametrize(("kind", "code"), [(MagkitError, 1), (UsageError, 2)])
def test_message_hint_and_exit_code(kind: type[MagkitError], code: int) -> None:
    error = kind("no such file", hint="look elsewhere")
    assert (str(error), error.message, error.hint) == (
        "no such file",
        "no such file",
        "look elsewhere",
    )
    assert error.exit_code == code


def test_an_error_keeps_its_hint_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UsageError("wrong", "right")))
    assert type(error) is UsageError
    assert (error.message, error.hint) == ("wrong", "right")


def test_did_you_mean() -> None:
    assert did_you_mean("mcoo", ["moco", "byol"]) == "did you mean 'moco'? known: moco, byol"
    assert did_you_mean("xyz", ["moco", "byol"]) == "known: moco, byol"
    assert did_you_mean("xyz", []) == "there are none"
    assert did_you_mean("xyz", map(str, range(21))).endswith("18, 19, ...")


def test_nearest() -> None:
    assert nearest("mcoo", ["moco", "byol"]) == "did you mean 'moco'?"
    assert nearest("xyz", ["moco", "byol"]) == nearest("xyz", []) == ""
