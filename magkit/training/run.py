"""The folder of one long job: what it was asked for, how it goes, and what came out of it.

Of a training:

runs/finetune-001/
  config.json          the configuration, and what it was made with
  metrics.jsonl        one line a step
  samples/             pictures of what the network makes, now and then
  checkpoint-N.pt      the last two checkpoints: everything needed to go on after step N
  model.safetensors    the result; a run that has one is finished
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError
from magkit.runtime.atomic import atomic_path

MODEL = "model.safetensors"  # the result of a training
FORMAT = 1  # of the folder: raised when an older magkit could not go on with it
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{8}\.[a-z]+")  # what `atomic_path` writes to


@dataclass(frozen=True, slots=True)
class Run:
    """One folder; made or found by `open_run`.

    Attributes:
        folder: where it is.
        config: everything that determines the result.
        result: the name of the file that is there when it has come to its end.
    """

    folder: Path
    config: Mapping[str, Any]
    result: str = MODEL

    @property
    def metrics(self) -> Path:
        """What was measured, a JSON object a step."""
        return self.folder / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """The folder of pictures."""
        return self.folder / "samples"

    @property
    def model(self) -> Path:
        """The result."""
        return self.folder / self.result

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.model.is_file()

    def sweep(self) -> None:
        """Remove what a process that was killed had begun to write; hold the run with `locked`."""
        for folder in (self.folder, self.samples):
            for path in folder.glob(".*"):
                if _TEMPORARY.fullmatch(path.name):
                    path.unlink()


def open_run(
    kind: str,
    config: Mapping[str, Any],
    *,
    made_with: Mapping[str, Any],
    output: Path | None = None,
    new: bool = False,
    root: Path = Path("runs"),
    result: str = MODEL,
    resume_finished: bool = False,
) -> Run:
    """Find the run to go on with, or make the folder of a new one.

    Without `output` it is the newest unfinished run of this kind under `root` whose configuration
    equals this one, or else the next number: `root/finetune-001`.

    Args:
        kind: what is trained, the first part of the folder's name.
        config: everything that determines the result, of JSON's types: what is compared.
        made_with: versions and places, for the record: not compared.
        output: the run's folder; it may exist if it is empty or holds this very run, unfinished.
        new: never go on with a run.
        root: where numbered folders are made.
        result: the name of the file that says that a run is finished.
        resume_finished: whether a finished run may be opened once more.

    Raises:
        MagkitError: `output` holds something else, or a finished run; or no folder can be made.
    """
    asked: dict[str, Any] = json.loads(json.dumps(config))
    if output is not None:
        if not new and (output / "config.json").is_file():
            return _continued(kind, asked, output, result, may_end=resume_finished)
        return _started(kind, asked, made_with, _claim(output), result)
    for folder in [] if new else reversed(list(_numbered(kind, root))):
        run = Run(folder, asked, result)
        if not run.finished and _recorded(kind, folder) == asked:
            return run
    return _started(kind, asked, made_with, _next(kind, root), result)


def read_config(kind: str, folder: Path) -> dict[str, Any]:
    """Read the configuration of a run.

    Raises:
        MagkitError: the folder holds no run of this kind that this magkit understands.
    """
    path = folder / "config.json"
    try:
        record = json.loads(path.read_bytes())  # in whichever encoding an editor has saved it
        found, version, config = record["kind"], record["format"], dict(record["config"])
    except OSError as error:
        raise MagkitError(f"{folder} is not the folder of a run: no config.json") from error
    except (ValueError, RecursionError) as error:
        raise MagkitError(f"{path} is not the configuration of a run: {error}") from error
    except (KeyError, TypeError) as error:
        raise MagkitError(f"{path} is not the configuration of a run") from error
    if found != kind:
        raise MagkitError(f"{folder} is a run of '{found}', not of '{kind}'")
    if version != FORMAT:
        raise MagkitError(
            f"{folder} is a run of format {version}; this magkit writes and reads {FORMAT}",
            "the magkit that made it is named in its config.json",
        )
    return config


def _continued(
    kind: str, config: dict[str, Any], folder: Path, result: str, *, may_end: bool
) -> Run:
    recorded = read_config(kind, folder)
    if recorded != config:
        raise MagkitError(
            f"{folder} holds another run: {'; '.join(_differences(recorded, config))}",
            "choose another --output, or ask for the same",
        )
    run = Run(folder, config, result)
    if run.finished and not may_end:
        raise MagkitError(f"{folder} holds a finished run", "choose another --output")
    return run


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    old, new = dict(_leaves(there)), dict(_leaves(here))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    said = [f"{key} is {old.get(key)} there, {new.get(key)} here" for key in changed[:3]]
    return said + (["..."] if len(changed) > len(said) else [])


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _started(
    kind: str,
    config: Mapping[str, Any],
    made_with: Mapping[str, Any],
    folder: Path,
    result: str,
) -> Run:
    record = {"kind": kind, "format": FORMAT, "config": config, "made_with": made_with}
    with atomic_path(folder / "config.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Run(folder, config, result)


def _recorded(kind: str, folder: Path) -> dict[str, Any] | None:
    try:
        return read_config(kind, folder)
    except MagkitError:
        return None


def _numbered(kind: str, root: Path) -> Iterator[Path]:
    """Yield the runs' folders under `root`, by their numbers."""
    found = [(_number(kind, path), path) for path in root.glob(f"{kind}-*") if path.is_dir()]
    yield from (path for number, path in sorted(found) if number)


def _number(kind: str, path: Path) -> int:
    text = path.name.removeprefix(f"{kind}-")
    return int(text) if text.isascii() and text.isdigit() else 0


def _next(kind: str, root: Path) -> Path:
    number = max((_number(kind, path) for path in root.glob(f"{kind}-*")), default=0) + 1
    while True:
        folder = root / f"{kind}-{number:03d}"
        try:
            return _made(folder)
        except FileExistsError:  # another process was faster
            number += 1


def _claim(folder: Path) -> Path:
    if folder.is_dir() and not any(folder.iterdir()):
        return folder
    try:
        return _made(folder)
    except FileExistsError as error:
        raise MagkitError(
            f"{folder} exists and is no run to go on with", "choose another --output"
        ) from error


def _made(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        if folder.exists():
            raise FileExistsError(folder) from error
        raise MagkitError(f"{folder} can't be made: {error.strerror}", "try -o") from error
    return folder
