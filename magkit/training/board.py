"""What was measured, for TensorBoard as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from magkit.errors import MagkitError

Board = Callable[[int, Mapping[str, float]], None]


def silent(step: int, measured: Mapping[str, float]) -> None:
    """Show nothing."""


@contextmanager
def opened(folder: Path, step: int, *, wanted: bool) -> Iterator[Board]:
    """Yield what shows the measures of a step in `folder`/tensorboard.

    Args:
        folder: of the run.
        step: where the training goes on: what was shown of later steps is hidden.
        wanted: else nothing is shown.

    Raises:
        MagkitError: TensorBoard is not installed.
    """
    if not wanted:
        yield silent
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        hint = "pip install 'magkit[tensorboard]'"
        raise MagkitError("TensorBoard is not installed", hint) from error
    with SummaryWriter(str(folder / "tensorboard"), purge_step=step) as writer:

        def show(step: int, measured: Mapping[str, float]) -> None:
            for name, value in measured.items():
                writer.add_scalar(name, value, step)

        yield show
