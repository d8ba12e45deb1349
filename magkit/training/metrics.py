"""Metrics of a training: a log with a JSON line a step, and TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path
from magkit.runtime.text import json_object

RECENT = 100  # steps over which the metrics reported at the end are averaged


class MetricsLog:
    """Appends lines to a file, once those of steps beyond `step` are removed."""

    def __init__(self, path: Path, step: int) -> None:
        _truncate(path, step)
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of step number `step`; non-finite numbers become null."""
        finite = {key: v if math.isfinite(v) else None for key, v in metrics.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a log: numbers by their names; lines cut short or damaged are left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [entry for line in lines if (entry := _entry(line)) is not None]


def recent_metrics(path: Path) -> dict[str, float]:
    """Return the means of the metrics over the last hundred steps."""
    recent = read_metrics(path)[-RECENT:]
    found: dict[str, float] = {}
    for key in recent[-1] if recent else ():
        values = [line[key] for line in recent if line.get(key) is not None]
        if key not in ("step", "rate") and values:
            found[key] = sum(values) / len(values)
    return found


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json_object(line, "a line")
        if type(entry.get("step")) is not int:
            return None
        return {key: _finite(value) for key, value in entry.items()}
    except (MagkitError, TypeError, OverflowError):
        return None


def _finite(value: Any) -> Any:
    return value if value is None or math.isfinite(value) else None


def _truncate(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    with atomic_path(path, overwrite=True) as temporary:
        text = "".join(json.dumps(line) + "\n" for line in kept)
        temporary.write_text(text, encoding="utf-8", newline="\n")


StepWriter = Callable[[int, Mapping[str, float]], None]


@contextmanager
def tensorboard_writer(folder: Path, step: int, *, enabled: bool) -> Iterator[StepWriter]:
    """Yield a function that writes the metrics of a step to `folder`/tensorboard.

    Args:
        folder: of the run.
        step: at which the training resumes: what was written of later steps is hidden.
        enabled: otherwise the function does nothing.

    Raises:
        MagkitError: TensorBoard is not installed.
    """
    if not enabled:
        yield lambda _step, _metrics: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        hint = "pip install 'magkit[tensorboard]'"
        raise MagkitError("TensorBoard is not installed", hint) from error
    with SummaryWriter(str(folder / "tensorboard"), purge_step=step) as writer:

        def write(step: int, metrics: Mapping[str, float]) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

        yield write
