"""A data set as tar files in WebDataset's naming, with an index of offsets.

    triplets/
      dataset.json           the plan
      triplets-000000.tar    100 scenes: 000000.a.png, .b.png, .c.png, .m.png, .motion.png, .json
      offsets.npy            int64 (scenes, members, 2): where each begins in its file, its length

Whoever streams the files needs no index. With it a scene is one read of a range of bytes. Members
are written one after another in the order above, with nothing of the machine or the time in their
headers: the same scenes are the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from magkit.data.encode import MOST_JSON, Stored, most_bytes, names
from magkit.data.plan import Kind, Plan
from magkit.data.store import Store
from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path

OFFSETS = "offsets.npy"
UNIT = 100  # scenes in a file
HEADER = tarfile.BLOCKSIZE

Offsets = npt.NDArray[np.int64]


def shard(kind: Kind, number: int) -> str:
    """Return the name of a tar file."""
    return f"{kind}-{number:06}.tar"


def members(kind: Kind) -> tuple[str, ...]:
    """Return what follows a scene's number in the names of its members, in their order."""
    return (*names(kind), "json")


def write_unit(folder: Path, plan: Plan, unit: int, scenes: Iterable[Stored]) -> list[Any]:
    """Write a tar file, and return the lines of its scenes with their members' places."""
    lines = []
    with (
        atomic_path(folder / shard(plan.kind, unit), overwrite=True) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for scene in scenes:
            files = {**scene.files, "json": json.dumps(scene.line).encode()}
            index = scene.line["index"]
            places = [_add(tar, f"{index:06}.{name}", files[name]) for name in members(plan.kind)]
            lines.append({**scene.line, "places": places})
    return lines


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> tuple[int, int]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    start = tar.offset + HEADER
    tar.addfile(info, io.BytesIO(data))
    return start, len(data)


def finish(folder: Path, plan: Plan, units: Iterable[list[Any]]) -> None:
    """Write the offsets out of what `write_unit` returned, in order."""
    offsets = np.zeros((plan.count, len(members(plan.kind)), 2), np.int64)
    for lines in units:
        for line in lines:
            offsets[line["index"]] = line["places"]
    np.save(folder / OFFSETS, offsets, allow_pickle=False)


class TarMembers:
    """Finds what belongs to a scene; see `Members`.

    Raises:
        MagkitError: the offsets are missing, damaged, or not of this plan.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self._most = most_bytes(plan.config.size, plan.config.size)
        self._names = members(plan.kind)
        self._offsets = _read_offsets(store, (plan.count, len(self._names), 2))
        self.listed = sha256(self._offsets.tobytes()).hexdigest()  # the lengths of all members

    def read(self, index: int, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return members of a scene, all of them in one read."""
        chosen = [self._names.index(name) for name in names]
        first, last = min(chosen), max(chosen)
        begin = int(self._offsets[index, first, 0]) - HEADER
        end = int(self._offsets[index, last].sum())
        if begin < 0 or end < begin:
            raise MagkitError(f"{self.store.path(OFFSETS)} is damaged")
        file, most = shard(self.plan.kind, index // UNIT), self._most * len(names) + MOST_JSON
        data = self.store.read_range(file, begin, end - begin, most)
        return {name: self._member(data, begin, index, name) for name in names}

    def _member(self, data: bytes, begin: int, index: int, name: str) -> bytes:
        start, size = (int(v) for v in self._offsets[index, self._names.index(name)])
        header = data[start - begin - HEADER : start - begin]
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.TarError, ValueError) as error:
            file = shard(self.plan.kind, index // UNIT)
            raise MagkitError(f"{file} has no member at byte {start}") from error
        if (info.name, info.size) != (f"{index:06}.{name}", size):
            raise MagkitError(f"its place holds {info.name!r}: the offsets are of other files")
        return data[start - begin : start - begin + size]


def _read_offsets(store: Store, shape: tuple[int, int, int]) -> Offsets:
    most = 8 * shape[0] * shape[1] * shape[2] + 4096
    try:
        found = np.load(io.BytesIO(store.read(OFFSETS, most)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise MagkitError(f"{store.path(OFFSETS)} is damaged: {error}") from error
    if not isinstance(found, np.ndarray) or (found.dtype, found.shape) != (np.int64, shape):
        raise MagkitError(f"{store.path(OFFSETS)} is not of {shape[0]} scenes")
    return found
