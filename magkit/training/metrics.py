"""Metrics of a training: a JSON line a step, curves as a picture, TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image, ImageDraw, ImageFont

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path
from magkit.runtime.text import json_object

RECENT = 100  # steps over which what is told at the end is averaged


class MetricsLog:
    """Appends lines to a file, after those of steps beyond `step` were taken out of it."""

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

    def write(self, step: int, measured: Mapping[str, float]) -> None:
        """Append what was measured in step number `step`; what is no finite number becomes null."""
        finite = {key: v if math.isfinite(v) else None for key, v in measured.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a log: numbers by their names; lines that were cut short or damaged are left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [entry for line in lines if (entry := _entry(line)) is not None]


def recent_metrics(path: Path) -> dict[str, float]:
    """Return the means of what was measured over the last hundred steps."""
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


WIDTH, HEIGHT, EDGE = 420, 220, 40  # pixels of a chart, and of what surrounds it
LINE, INK, PALE = (66, 110, 180), (40, 40, 40), (200, 200, 200)
COLUMNS = 2
FONT = 12  # pixels

Points = Sequence[tuple[float, float]]


def curves(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Image.Image:
    """Return a chart for each name that is in `lines`, over their "step"."""
    found = {name: _points(lines, name) for name in names}
    charts = {name: points for name, points in found.items() if points}
    rows = max(1, -(-len(charts) // COLUMNS))
    image = Image.new("RGB", (COLUMNS * WIDTH, rows * HEIGHT), "white")
    for number, (name, points) in enumerate(charts.items()):
        place = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT
        _draw(ImageDraw.Draw(image), place, name, points)
    return image


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    found = [(float(line["step"]), line[name]) for line in lines if line.get(name) is not None]
    return _thinned([point for point in found if math.isfinite(point[1])])


def _thinned(points: Points) -> Points:
    """Return means of as many neighbours as leave about a point to a pixel."""
    group = max(1, len(points) // (WIDTH - 2 * EDGE))
    parts = [points[start : start + group] for start in range(0, len(points), group)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _draw(draw: ImageDraw.ImageDraw, place: tuple[int, int], name: str, points: Points) -> None:
    font = ImageFont.load_default(FONT)
    (x0, y0), (x1, y1) = (EDGE, EDGE), (WIDTH - EDGE // 2, HEIGHT - EDGE)
    left, top = place
    most_steps = max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    unit = (high - low) or abs(high) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        x = x0 + (x1 - x0) * step / max(most_steps, 1)
        return left + x, top + y1 - (y1 - y0) * (value - low) / unit

    for value in (low, high):
        y = at(0, value)[1]
        draw.line((left + x0, y, left + x1, y), fill=PALE)
        draw.text((left + x0 - 4, y), f"{value:.3g}", fill=INK, font=font, anchor="rm")
    draw.text((left + x0, top + EDGE / 3), name, fill=INK, font=font)
    draw.text((left + x1, top + y1 + 4), f"{most_steps:g} steps", fill=INK, font=font, anchor="ra")
    draw.line([at(*point) for point in points], fill=LINE, width=2)
    for point in points if len(points) < COLUMNS * 20 else ():
        x, y = at(*point)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=LINE)
