"""One thing that is asked of a plugin, and how to say that it isn't so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from magkit.errors import MagkitError


@dataclass(frozen=True, slots=True)
class Check:
    """Something that can be asked of a plugin.

    Attributes:
        name: What is asked, in lower-case letters and hyphens; `str` gives it.
        run: Asks it.
    """

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Ask it; torch's global generator is left as it was.

        Raises:
            AssertionError: It isn't so: one sentence that says what is wrong and what to do. What
                the plugin's own code raised is the error's cause.
        """
        try:
            with torch.random.fork_rng(devices=[]):
                self.run()
        except MagkitError as error:
            raise AssertionError(_sentence(error)) from error
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"{type(error).__name__}: {error}; the traceback says where"
            ) from error

    def __str__(self) -> str:
        return self.name


def require(kept: object, sentence: str) -> None:
    """Do nothing where something is kept.

    Raises:
        AssertionError: It isn't: the sentence.
    """
    if not kept:
        raise AssertionError(sentence)


def _sentence(error: MagkitError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message
