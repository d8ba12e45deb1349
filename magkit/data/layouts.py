"""The layouts of a data set: a plain folder, and tar files in WebDataset's naming.

A folder:

    triplets/
      dataset.json           the plan
      index.jsonl            one line per scene: factor, displacements, sources
      scenes/000000/a.png    and b, c, m, motion; of single frames, frames/000000.png

Tar files:

    triplets/
      dataset.json           the plan
      triplets-000000.tar    100 scenes: 000000.a.png, .b.png, .c.png, .m.png, .motion.png, .json
      offsets.npy            int64 (scenes, members, 2): offset in the file, and length

Members have this order, and headers without time or owner: equal scenes are equal bytes. With
`offsets.npy` a scene is one read of a range of bytes; WebDataset's readers need no index.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from magkit.data.encode import MAX_RECORD_BYTES, EncodedScene, max_png_bytes, picture_names
from magkit.data.plan import Kind, Plan
from magkit.data.store import Store
from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path

INDEX = "index.jsonl"
CHUNK = 1 << 20  # bytes of the index that are read at a time


def picture_path(kind: Kind, index: int, name: str) -> str:
    """Return the relative path of a scene's picture."""
    if kind == "frames":
        return f"frames/{index:06}.png"
    return f"scenes/{index:06}/{name}"


def _write_folder_unit(
    folder: Path, plan: Plan, _unit: int, scenes: Iterable[EncodedScene]
) -> list[Any]:
    """Write scenes, and return their records for the index."""
    records = []
    for scene in scenes:
        index = scene.record["index"]
        places = {name: picture_path(plan.kind, index, name) for name in scene.files}
        for name, data in scene.files.items():
            path = folder / places[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        files = {name.removesuffix(".png"): place for name, place in places.items()}
        records.append({**scene.record, "files": files})
    return records


def _write_index(folder: Path, _plan: Plan, units: Iterable[list[Any]]) -> None:
    """Write the index."""
    with (folder / INDEX).open("w", encoding="utf-8", newline="\n") as file:
        for records in units:
            file.writelines(json.dumps(record) + "\n" for record in records)


class FolderReader:
    """Reads scenes of a folder as a `SceneReader`.

    Paths are derived from the scene's number; those in the index are ignored.

    Raises:
        MagkitError: the index is missing, or not of this plan.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self._most = max_png_bytes(plan.config.size, plan.config.size)
        self._ends, self.listed = _line_ends(store, plan.count)

    def read(self, index: int, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return files of a scene; "json" is its line of the index."""
        return {name: self._read(index, name) for name in names}

    def _read(self, index: int, name: str) -> bytes:
        if name != "json":
            return self.store.read(picture_path(self.plan.kind, index, name), self._most)
        start = int(self._ends[index - 1]) if index else 0
        size = int(self._ends[index]) - start
        return self.store.read_range(INDEX, start, size, MAX_RECORD_BYTES)


def _line_ends(store: Store, count: int) -> tuple[np.ndarray, str]:
    """Return the end offset of each line of the index, and a hash of the index."""
    ends, digest = np.zeros(count, np.int64), sha256()
    found = base = 0
    with store.open(INDEX) as file:
        while part := file.read(CHUNK):
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


OFFSETS = "offsets.npy"
TAR_SCENES = 100  # scenes per file
HEADER = tarfile.BLOCKSIZE

Offsets = npt.NDArray[np.int64]


def tar_name(kind: Kind, number: int) -> str:
    """Return the name of a tar file."""
    return f"{kind}-{number:06}.tar"


def member_names(kind: Kind) -> tuple[str, ...]:
    """Return the suffixes of a scene's members, in their order."""
    return (*picture_names(kind), "json")


def _write_tar_unit(
    folder: Path, plan: Plan, unit: int, scenes: Iterable[EncodedScene]
) -> list[Any]:
    """Write a tar file; return the records of its scenes with their members' places."""
    records = []
    with (
        atomic_path(folder / tar_name(plan.kind, unit), overwrite=True) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for scene in scenes:
            files = {**scene.files, "json": json.dumps(scene.record).encode()}
            index = scene.record["index"]
            places = [
                _add(tar, f"{index:06}.{name}", files[name]) for name in member_names(plan.kind)
            ]
            records.append({**scene.record, "places": places})
    return records


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> tuple[int, int]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    start = tar.offset + HEADER
    tar.addfile(info, io.BytesIO(data))
    return start, len(data)


def _write_offsets(folder: Path, plan: Plan, units: Iterable[list[Any]]) -> None:
    """Write the index of offsets."""
    offsets = np.zeros((plan.count, len(member_names(plan.kind)), 2), np.int64)
    for records in units:
        for record in records:
            offsets[record["index"]] = record["places"]
    np.save(folder / OFFSETS, offsets, allow_pickle=False)


class TarReader:
    """Reads scenes of tar files as a `SceneReader`.

    Raises:
        MagkitError: the offsets are missing, damaged, or not of this plan.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self._most = max_png_bytes(plan.config.size, plan.config.size)
        self._names = member_names(plan.kind)
        self._offsets = _read_offsets(store, (plan.count, len(self._names), 2))
        self.listed = sha256(self._offsets.tobytes()).hexdigest()  # the lengths of all members

    def read(self, index: int, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return members of a scene in one read."""
        chosen = [self._names.index(name) for name in names]
        first, last = min(chosen), max(chosen)
        begin = int(self._offsets[index, first, 0]) - HEADER
        end = int(self._offsets[index, last].sum())
        if begin < 0 or end < begin:
            raise MagkitError(f"{self.store.path(OFFSETS)} is damaged")
        file, most = (
            tar_name(self.plan.kind, index // TAR_SCENES),
            self._most * len(names) + MAX_RECORD_BYTES,
        )
        data = self.store.read_range(file, begin, end - begin, most)
        return {name: self._member(data, begin, index, name) for name in names}

    def _member(self, data: bytes, begin: int, index: int, name: str) -> bytes:
        start, size = (int(v) for v in self._offsets[index, self._names.index(name)])
        header = data[start - begin - HEADER : start - begin]
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.TarError, ValueError) as error:
            file = tar_name(self.plan.kind, index // TAR_SCENES)
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


@dataclass(frozen=True, slots=True)
class Layout:
    """How scenes are written.

    Args:
        scenes_per_unit: Scenes of a unit, which one process writes at once.
        write_unit: Writes a unit of the plan into a folder, and returns the records of its scenes.
        finish: Writes what concerns all scenes, of the records of all units in order.
    """

    scenes_per_unit: int
    write_unit: Callable[[Path, Plan, int, Iterable[EncodedScene]], list[Any]]
    finish: Callable[[Path, Plan, Iterable[list[Any]]], None]


FOLDER = Layout(1, _write_folder_unit, _write_index)
TAR = Layout(TAR_SCENES, _write_tar_unit, _write_offsets)
