"""Checkpoints, read without running code, and finished runs extended by more steps."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path
from magkit.runtime.text import MALFORMED, read_json_object
from magkit.training.loop import TrainState
from magkit.training.run import Run, renamed_settings, step_change

KEPT = 2  # checkpoints: one before the newest, should that be broken


def save_checkpoint(folder: Path, state: TrainState) -> Path:
    """Write `folder/checkpoint-STEP.pt`, then remove the oldest; equal states give equal bytes."""
    final, alone = folder / f"checkpoint-{state.step}.pt", state.average is state.model
    # torch.save to a path would embed the temporary name.
    with atomic_path(final, overwrite=True) as path, path.open("wb") as file:
        torch.save(
            {
                "model": state.model.state_dict(),
                "average": None if alone else state.average.state_dict(),
                "optimizer": state.optimizer.state_dict(),
                "step": state.step,
                "skipped": state.skipped,
            },
            file,
        )
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()
    return final


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run, the newest first."""
    return sorted(folder.glob("checkpoint-*.pt"), key=_step, reverse=True)


def restore(folder: Path, state: TrainState) -> list[Path]:
    """Load the newest readable checkpoint into `state`; without checkpoints leave it as it is.

    Returns:
        Newer checkpoints that are broken; they stay until newer ones are saved.

    Raises:
        MagkitError: there are checkpoints, and none can be read.
    """
    broken: list[Path] = []
    for path in checkpoints(folder):
        saved = _read(path)
        if saved is not None:
            _load(path, saved, state)
            return broken
        broken.append(path)
    if broken:
        names = ", ".join(path.name for path in broken)
        raise MagkitError(f"no checkpoint in {folder} can be read: {names}", "--new starts anew")
    return broken


def weights_digest(state: TrainState) -> str:
    """Return a hash of the weights, for processes to compare."""
    digest = sha256()
    for module in (state.model, state.average):
        for name, value in module.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _step(path: Path) -> int:
    text = path.stem.removeprefix("checkpoint-")
    return int(text) if text.isascii() and text.isdigit() else -1


def _read(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None if the file is truncated or damaged."""
    try:
        with ZipFile(path) as archive:
            if archive.testzip():  # torch.load checks no CRC
                return None
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        return None
    return saved if isinstance(saved, dict) else None


def _load(path: Path, saved: dict[str, Any], state: TrainState) -> None:
    try:
        state.model.load_state_dict(saved["model"])
        if state.average is not state.model:
            state.average.load_state_dict(saved["average"])
        state.optimizer.load_state_dict(saved["optimizer"])
        state.step, state.skipped = int(saved["step"]), int(saved["skipped"])
    except (RuntimeError, *MALFORMED) as error:
        raise MagkitError(
            f"{path} is a checkpoint of another network", "--new starts anew"
        ) from error


EARLIER = "ended_after"  # key in config.json: numbers of steps at which the run had finished


def earlier_result(run: Run, steps: int) -> Path:
    """Return the path to which the result of so many steps is moved."""
    return run.model.with_name(f"{run.model.stem}-{steps}{run.model.suffix}")


def extend_run(run: Run, step: int) -> None:
    """Turn a finished run into an unfinished one of more steps.

    It can be repeated after an interruption, and does nothing to a run extended by another process.

    Args:
        run: as `open_run` returned it, locked by the caller.
        step: of its newest checkpoint.

    Raises:
        MagkitError: the run has changed meanwhile, or has no checkpoint.
    """
    path = run.folder / "config.json"
    record = read_json_object(path)
    recorded = record.get("config")
    recorded = renamed_settings(recorded) if isinstance(recorded, dict) else {}
    if recorded == run.config:
        return
    change = step_change(recorded, run.config)
    if change is None or change[0] != run.extended_from:
        raise MagkitError(f"another process changed {path} meanwhile", "start this once more")
    if step == 0:
        problem = f"{run.folder} holds no checkpoint to resume from"
        raise MagkitError(problem, "--new starts another run")
    if run.model.is_file():
        run.model.replace(earlier_result(run, change[0]))
    if run.last is not None:
        (run.folder / run.last).unlink(missing_ok=True)
    earlier = record.get(EARLIER)
    ends = [*(earlier if isinstance(earlier, list) else []), change[0]]
    text = json.dumps({**record, "config": run.config, EARLIER: ends}, indent=2)
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
