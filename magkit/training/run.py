"""Run folders: configuration, versions, numbering, resumption and extension."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.runtime import distributed
from magkit.runtime.files import atomic_path
from magkit.runtime.text import read_json_object
from magkit.training.config import setting_name
from magkit.version import __version__

MODEL = "model.safetensors"  # the result of a training
FORMAT = 1  # of the folder: raised when an older magkit could not resume it
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{8}\.[a-z]+")  # names that `atomic_path` makes


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, made or found by `open_run`.

    Attributes:
        folder: its path.
        config: everything that determines the result.
        result: name of the file with the result.
        last: name of the file that marks the run as finished; None: the result.
        extended_from: number of steps of a finished run that is to be trained further;
            `checkpoint.extend_run` then updates the folder.
    """

    folder: Path
    config: Mapping[str, Any]
    result: str = MODEL
    last: str | None = None
    extended_from: int | None = None

    @property
    def metrics(self) -> Path:
        """The metrics, a JSON object a step."""
        return self.folder / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """The folder of sample pictures."""
        return self.folder / "samples"

    @property
    def model(self) -> Path:
        """The result file."""
        return self.folder / self.result

    @property
    def finished(self) -> bool:
        """Whether the file that marks it as finished exists."""
        return (self.folder / (self.last or self.result)).is_file()

    def has_checkpoint(self, steps: int) -> bool:
        """Return whether there is a checkpoint after so many steps."""
        return (self.folder / f"checkpoint-{steps}.pt").is_file()

    def remove_temporary(self) -> None:
        """Remove temporary files of a killed process; the caller has locked the run."""
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
    last: str | None = None,
    resume_finished: bool = False,
    extendable: bool = False,
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: config,
) -> Run:
    """Find the run to resume, or make the folder of a new one.

    Without `output` it is the newest unfinished run of this kind under `root` of an equal
    configuration; else, if runs are extendable, the newest one that has done all of its steps and
    differs by fewer steps alone; else a folder of the next number: `root/finetune-001`.

    Args:
        kind: of the job, the first part of the folder's name.
        config: everything that determines the result, of JSON's types: it is compared.
        made_with: versions and paths, for the record: not compared.
        output: the run's folder; it may exist if it is empty or holds this very run, unfinished.
        new: never resume a run.
        root: folder of the numbered folders.
        result: name of the file with the result.
        last: name of the file that marks a run as finished; None: the result.
        resume_finished: whether a finished run may be opened once more.
        extendable: whether a finished run continues if more steps are asked for than it has had;
            its configuration holds them under "settings" and "steps".
        upgrade: turns a configuration that an older magkit recorded into one of today's form.

    Raises:
        MagkitError: `output` holds something else, or a finished run; or no folder can be made.
    """
    wanted: dict[str, Any] = json.loads(json.dumps(config))

    def made(folder: Path) -> Run:
        return Run(folder, wanted, result, last)

    if output is not None:
        if not new and (output / "config.json").is_file():
            run, old = made(output), upgrade(read_config(kind, output))
            return _resume(run, old, may_end=resume_finished, extendable=extendable)
        return _create(kind, made(_claim(output)), made_with)
    folders = [] if new else list(_numbered(kind, root))[::-1]
    known = [(made(folder), _recorded(kind, folder, upgrade)) for folder in folders]
    for run, recorded in known:
        if recorded == wanted and not run.finished:
            return run
    for run, recorded in known if extendable else ():
        change = step_change(recorded, wanted)
        if change is not None and change[0] < change[1] and run.has_checkpoint(change[0]):
            return replace(run, extended_from=change[0])
    return _create(kind, made(_next(kind, root)), made_with)


def read_config(kind: str, folder: Path) -> dict[str, Any]:
    """Read the configuration of a run.

    Raises:
        MagkitError: the folder holds no run of this kind that this magkit understands.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise MagkitError(f"{folder} is not the folder of a run: no config.json")
    record = read_json_object(path, "it should be the configuration of a run")
    found, version, config = (record.get(name) for name in ("kind", "format", "config"))
    if not isinstance(config, dict) or found is None:
        raise MagkitError(f"{path} is not the configuration of a run")
    if found != kind:
        raise MagkitError(f"{folder} is a run of '{found}', not of '{kind}'")
    if version != FORMAT:
        raise MagkitError(
            f"{folder} is a run of format {version}; this magkit writes and reads {FORMAT}",
            "the magkit that made it is named in its config.json",
        )
    return config


def renamed_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return a training's configuration with the settings of magkit 0.1 by their new names."""
    settings = config.get("settings")
    if not isinstance(settings, dict):
        return config
    return {**config, "settings": {setting_name(key): v for key, v in settings.items()}}


def _resume(run: Run, recorded: Mapping[str, Any], *, may_end: bool, extendable: bool) -> Run:
    change = step_change(recorded, run.config) if extendable else None
    if change is not None:
        return _extended(run, *change)
    if recorded != run.config:
        raise MagkitError(
            f"{run.folder} holds another run: {'; '.join(_differences(recorded, run.config))}",
            "choose another --output, or ask for the same",
        )
    if run.finished and not may_end:
        more = ", or ask for more --steps, which train it further" if extendable else ""
        raise MagkitError(f"{run.folder} holds a finished run", f"choose another --output{more}")
    return run


def _extended(run: Run, before: int, steps: int) -> Run:
    """Return a run of `before` steps as one that is extended to `steps`.

    Raises:
        MagkitError: it has fewer steps, is unfinished, or its last checkpoint is missing.
    """
    if steps < before:
        problem = f"{run.folder} holds a run of {before} steps, and {steps} are fewer"
        raise MagkitError(problem, "more steps train it further; others need another --output")
    if run.has_checkpoint(before):
        return replace(run, extended_from=before)
    if run.finished:
        problem = f"{run.folder} can't be trained further: checkpoint-{before}.pt is missing"
        raise MagkitError(problem, "choose another --output")
    problem = f"{run.folder} holds an unfinished run of {before} steps"
    raise MagkitError(problem, f"--steps {before} finishes it; then more steps train it further")


def step_change(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the numbers of steps of two configurations, if they differ in nothing else."""
    steps, rest = zip(*map(_without_steps, (old or {}, new)), strict=True)
    whole = all(type(number) is int for number in steps)
    return steps if whole and steps[0] != steps[1] and rest[0] == rest[1] else None


def _without_steps(config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    settings = config.get("settings")
    if not isinstance(settings, Mapping):
        return None, config
    others = {key: value for key, value in settings.items() if key != "steps"}
    return settings.get("steps"), {**config, "settings": others}


def _differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    old, new = dict(_leaves(recorded)), dict(_leaves(wanted))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    texts = [f"{key} is {old.get(key)} there, {new.get(key)} here" for key in changed[:3]]
    return texts + (["..."] if len(changed) > len(texts) else [])


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _create(kind: str, run: Run, made_with: Mapping[str, Any]) -> Run:
    record = {"kind": kind, "format": FORMAT, "config": run.config, "made_with": made_with}
    with atomic_path(run.folder / "config.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return run


def _recorded(
    kind: str, folder: Path, upgrade: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any] | None:
    try:
        return upgrade(read_config(kind, folder))
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
            return _make(folder)
        except FileExistsError:  # another process was faster
            number += 1


def _claim(folder: Path) -> Path:
    if folder.is_dir() and not any(folder.iterdir()):
        return folder
    try:
        return _make(folder)
    except FileExistsError as error:
        raise MagkitError(
            f"{folder} exists and is no run to resume", "choose another --output"
        ) from error


def _make(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        if folder.exists():
            raise FileExistsError(folder) from error
        raise MagkitError(f"{folder} can't be made: {error.strerror}", "try -o") from error
    return folder


PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pycocotools", "safetensors")


def made_with(device: torch.device | str, **more: Any) -> dict[str, Any]:
    """Return versions, machine, device, threads and processes, and further entries."""
    return {
        "magkit": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        **more,
    }
