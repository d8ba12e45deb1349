"""A run that had ended, and is trained for more steps.

It goes on in its own folder, from its last checkpoint, as a run of the new number of steps does
from there: with that run's batches and its learning rate. What it had come to is kept beside the
new result, as `model-STEPS.safetensors`.
"""

from __future__ import annotations

import json
from pathlib import Path

from magkit.errors import MagkitError
from magkit.runtime.atomic import atomic_path
from magkit.runtime.json_object import read_json_object
from magkit.training.run import Run, steps_apart

EARLIER = "ended_after"  # the steps at which it had ended before, in config.json


def kept_result(run: Run, steps: int) -> Path:
    """Return where the result of so many steps is kept."""
    return run.model.with_name(f"{run.model.stem}-{steps}{run.model.suffix}")


def extend(run: Run, step: int) -> None:
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
