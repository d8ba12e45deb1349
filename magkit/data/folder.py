"""A data set as a plain folder.

triplets/
  dataset.json                 the plan
  index.jsonl                  a line a scene: factor, displacements, where everything is from
  scenes/000000/a.png          and b, c, m, motion; of single frames, frames/000000.png
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from magkit.data.encode import MOST_JSON, Stored, most_bytes
from magkit.data.plan import Kind, Plan
from magkit.data.store import Store
from magkit.errors import MagkitError

INDEX = "index.jsonl"
UNIT = 1  # scenes that are written in one go
PART = 1 << 20  # bytes of the index that are looked through at a time


def picture(kind: Kind, index: int, name: str) -> str:
    """Return the path of a scene's picture, from the folder on."""
    if kind == "frames":
        return f"frames/{index:06}.png"
    return f"scenes/{index:06}/{name}"


def write_unit(folder: Path, plan: Plan, _unit: int, scenes: Iterable[Stored]) -> list[Any]:
    """Write scenes, and return the lines of the index."""
    lines = []
    for scene in scenes:
        index = scene.line["index"]
        places = {name: picture(plan.kind, index, name) for name in scene.files}
        for name, data in scene.files.items():
            path = folder / places[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        files = {name.removesuffix(".png"): place for name, place in places.items()}
        lines.append({**scene.line, "files": files})
    return lines


def finish(folder: Path, _plan: Plan, units: Iterable[list[Any]]) -> None:
    """Write the index out of what `write_unit` returned, in order."""
    with (folder / INDEX).open("w", encoding="utf-8", newline="\n") as file:
        for lines in units:
            file.writelines(json.dumps(line) + "\n" for line in lines)


class FolderMembers:
    """Finds what belongs to a scene; see `Members`.

    Paths are made from the scene's number: what the index says about files is never followed.

    Raises:
        MagkitError: the index is missing, or not of this plan.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self._most = most_bytes(plan.config.size, plan.config.size)
        self._ends, self.listed = _line_ends(store, plan.count)

    def read(self, index: int, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return files of a scene; "json" is its line of the index."""
        return {name: self._read(index, name) for name in names}

    def _read(self, index: int, name: str) -> bytes:
        if name != "json":
            return self.store.read(picture(self.plan.kind, index, name), self._most)
        start = int(self._ends[index - 1]) if index else 0
        size = int(self._ends[index]) - start
        return self.store.read_range(INDEX, start, size, MOST_JSON)


def _line_ends(store: Store, count: int) -> tuple[np.ndarray, str]:
    """Return where the lines of the index end, 8 bytes a scene, and a hash of the index."""
    ends, digest = np.zeros(count, np.int64), sha256()
    found = base = 0
    with store.open(INDEX) as file:
        while part := file.read(PART):
            digest.update(part)
            here = np.flatnonzero(np.frombuffer(part, np.uint8) == ord("\n")) + 1 + base
            room = count - found
            ends[found : found + len(here)] = here[:room]
            found, base = found + len(here), base + len(part)
            if found > count:
                break
    if found != count:
        more = "more" if found > count else f"{found}"
        raise MagkitError(f"{store.path(INDEX)} has {more} lines for {count} scenes")
    return ends, digest.hexdigest()
