"""Checkpoints: tensors and plain values, written whole, never unpickled; runs extended."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path
from magkit.runtime.text import WRONG, read_json_object
from magkit.training.loop import TrainState
from magkit.training.run import Run, steps_apart

KEPT = 2  # checkpoints: should the newest turn out broken, there is one before it


def save_checkpoint(folder: Path, state: TrainState) -> Path:
    """Write `folder/checkpoint-STEP.pt`; only when it is whole are the oldest removed."""
    final, alone = folder / f"checkpoint-{state.step}.pt", state.average is state.model
    with atomic_path(final, overwrite=True) as path:
        torch.save(
            {
                "model": state.model.state_dict(),
                "average": None if alone else state.average.state_dict(),
                "optimizer": state.optimizer.state_dict(),
                "step": state.step,
                "skipped": state.skipped,
            },
            path,
        )
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()
    return final


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run, the newest first."""
    return sorted(folder.glob("checkpoint-*.pt"), key=_step, reverse=True)


def restore(folder: Path, state: TrainState) -> list[Path]:
    """Bring `state` to the newest checkpoint that can be read, or leave it at its start.

    Returns:
        Newer checkpoints that are broken; they are left where they are until a newer one is whole.

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
    """Return a hash of the weights, by which processes find that they hold the same."""
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
    """Read a checkpoint; None where the file is cut or damaged, however torch says that."""
    try:
        with ZipFile(path) as archive:
            if archive.testzip():  # torch.load looks at no checksum
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
    except (RuntimeError, *WRONG) as error:
        raise MagkitError(
            f"{path} is a checkpoint of another network", "--new starts anew"
        ) from error


EARLIER = "ended_after"  # the steps at which it had ended before, in config.json


def kept_result(run: Run, steps: int) -> Path:
    """Return where the result of so many steps is kept."""
    return run.model.with_name(f"{run.model.stem}-{steps}{run.model.suffix}")


def extend_run(run: Run, step: int) -> None:
    """Make an unfinished run of the new number of steps out of one that had ended.

    Stopped anywhere in it, this is done again. Does nothing to a run that another process extended.

    Args:
        run: as `open_run` returned it, held with `locked`.
        step: where its newest checkpoint stands.

    Raises:
        MagkitError: it holds something else by now, or no checkpoint.
    """
    path = run.folder / "config.json"
    record = read_json_object(path)
    there = record.get("config")
    if there == run.config:
        return
    apart = steps_apart(there, run.config) if isinstance(there, dict) else None
    if apart is None or apart[0] != run.extends:
        raise MagkitError(f"another process changed {path} meanwhile", "start this once more")
    if step == 0:
        problem = f"{run.folder} holds no checkpoint to go on from"
        raise MagkitError(problem, "--new starts another run")
    if run.finished:
        run.model.replace(kept_result(run, apart[0]))
    earlier = record.get(EARLIER)
    ends = [*(earlier if isinstance(earlier, list) else []), apart[0]]
    text = json.dumps({**record, "config": run.config, EARLIER: ends}, indent=2)
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
