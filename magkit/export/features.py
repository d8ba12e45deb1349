"""Features of frames of videos, pictures and data sets, streamed to a NumPy archive."""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magkit.data.open import open_dataset
from magkit.errors import MagkitError, UsageError
from magkit.export.networks import TrainedEncoder
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path
from magkit.selfsup.frame_source import centre_square, to_uint8
from magkit.selfsup.frames import LISTS, SUFFIXES, is_dataset
from magkit.synth import pictures
from magkit.synth.listing import find_files
from magkit.synth.storage import scheme
from magkit.video import open_video

ROWS = ("sources", "source", "frame", "time", "about")  # names of arrays beside the features

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A frame and where it came from.

    Attributes:
        source: the file or data set.
        number: in the video or data set, from 0.
        time: seconds from the start of the video; nan of pictures and data sets.
        pixels: uint8 (3, S, S), the central square.
    """

    source: str
    number: int
    time: float
    pixels: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What an archive holds.

    Attributes:
        frames: their number N.
        sources: number of files and data sets.
        shapes: of the features by branch, N first.
    """

    frames: int
    sources: int
    shapes: Mapping[str, tuple[int, ...]]


def read_frames(place: str, size: int, every: int = 1) -> Iterator[SourceFrame]:
    """Yield the frames of a place in their order, one at a time.

    A picture of a folder or a list that can't be read is left out with a warning.

    Args:
        place: a video, a picture, a folder, a glob, a zip, a list, a bucket or a data set.
        size: S, pixels.
        every: of a video, each frame whose number is a multiple of this.

    Raises:
        MagkitError: there is nothing there, or a video or data set can't be read.
    """
    if is_dataset(place):
        yield from _of_dataset(place, size)
    elif Path(place).is_file() and not place.lower().endswith(LISTS):
        if Path(place).suffix.lower() in pictures.SUFFIXES - SUFFIXES:
            yield _of_picture(place, size)
        else:
            yield from _of_video(Path(place), size, every)
    else:
        yield from _of_listing(place, size, every)


def _of_dataset(place: str, size: int) -> Iterator[SourceFrame]:
    data = open_dataset(place)
    for number in range(len(data)):
        frame = to_uint8(data.frames([number])[0])
        yield SourceFrame(place, number, math.nan, centre_square(frame, size))


def _of_picture(place: str, size: int) -> SourceFrame:
    return SourceFrame(place, 0, math.nan, centre_square(pictures.read_rgb(place), size))


def _of_video(path: Path, size: int, every: int) -> Iterator[SourceFrame]:
    video = open_video(path)
    for number, pixels in enumerate(video):
        if number % every == 0:
            frame = torch.from_numpy(pixels).permute(2, 0, 1)
            time = video.info.time_of(number)
            yield SourceFrame(str(path), number, time, centre_square(frame, size))


def _of_listing(place: str, size: int, every: int) -> Iterator[SourceFrame]:
    """Yield pictures, then videos; of lists and buckets pictures alone, as `open_frames`."""
    stills, remote = find_files(place, pictures.SUFFIXES), bool(scheme(place))
    listed = remote or place.lower().endswith(LISTS)
    videos = () if listed else find_files(place, SUFFIXES - set(pictures.SUFFIXES))
    if not len(stills) and not len(videos):
        raise MagkitError(f"{place} holds neither pictures nor videos")
    for number in range(len(stills)):
        try:
            yield _of_picture(stills.place(number), size)
        except MagkitError as error:
            logger.warning("left out: %s", error.message)
    for number in range(len(videos)):
        yield from _of_video(Path(videos.place(number)), size, every)  # type: ignore[union-attr]


@dataclass(slots=True)
class _Rows:
    """What is known of each frame so far, apart from its features."""

    sources: list[str] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)

    def add(self, found: SourceFrame) -> None:
        if not self.sources or self.sources[-1] != found.source:
            self.sources.append(found.source)
        self.source.append(len(self.sources) - 1)
        self.frame.append(found.number)
        self.time.append(found.time)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "sources": np.array(self.sources, dtype=str),
            "source": np.array(self.source, dtype=np.int32),
            "frame": np.array(self.frame, dtype=np.int64),
            "time": np.array(self.time, dtype=np.float64),
        }


@dataclass(slots=True)
class _Column:
    """The features of one branch, as rows of float32 in a temporary file."""

    file: IO[bytes]
    shape: tuple[int, ...]  # of a row
    count: int = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        self.file.write(rows.tobytes())
        self.count += len(rows)


def embed(
    encoder: TrainedEncoder,
    places: Sequence[str],
    path: Path,
    *,
    size: int,
    dense: bool = False,
    every: int = 1,
    batch: int = 32,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> Embedded:
    """Write the features of all frames to a NumPy archive, in memory that doesn't grow with them.

    The archive holds, for each branch, float32 features (N, C), the means over the map, or maps
    (N, C, h, w); `source` (N,), an index into the names `sources`; `frame` (N,), `time` (N,); and
    `about`, a JSON object.

    Args:
        encoder: the encoder.
        places: see `read_frames`.
        path: of the archive, `.npz`.
        size: side of the square frames, pixels.
        dense: whether whole maps are written.
        every: of videos; see `read_frames`.
        batch: frames that are encoded at once.
        device: where.
        overwrite: whether an existing file is replaced.
        progress: called with the frames done.

    Raises:
        UsageError: the size doesn't suit the encoder, or a branch has a name of another array.
        MagkitError: there are no frames, a source can't be read, features aren't finite, or the
            file exists or can't be written.
    """
    _check(encoder, size)
    network = encoder.network.to(device)
    rows, columns = _Rows(), dict[str, _Column]()
    frames = (frame for place in places for frame in read_frames(place, size, every))
    with atomic_path(path, overwrite=overwrite) as temporary, ExitStack() as stack:
        while part := list(islice(frames, batch)):
            for frame in part:
                rows.add(frame)
            for branch, found in _features(network, part, dense, device).items():
                if branch not in columns:
                    # Beside the result: its disk has room for them, the system's may not.
                    file = stack.enter_context(tempfile.TemporaryFile(dir=temporary.parent))
                    columns[branch] = _Column(file, found.shape[1:])
                columns[branch].add(found)
            progress(len(rows.frame), None)
        if not rows.frame:
            raise MagkitError(f"there are no frames in {' and '.join(places)}")
        about = {**asdict(encoder.info), "size": size, "dense": dense}
        arrays = {**rows.arrays(), "about": np.array(json.dumps(about, sort_keys=True))}
        _write_archive(temporary, columns, arrays)
    shapes = {branch: (column.count, *column.shape) for branch, column in columns.items()}
    return Embedded(frames=len(rows.frame), sources=len(rows.sources), shapes=shapes)


def _check(encoder: TrainedEncoder, size: int) -> None:
    step = max(encoder.strides.values())
    if size < 1 or size % step:
        raise UsageError(
            f"frames of {size} pixels don't suit '{encoder.info.magnifier}'",
            f"--size must be a multiple of {step}",
        )
    if taken := [branch for branch in encoder.strides if branch in ROWS]:
        raise UsageError(f"the encoder has a branch '{taken[0]}', as another array is called")


def _features(
    network: torch.nn.Module,
    part: Iterable[SourceFrame],
    dense: bool,
    device: torch.device | str,
) -> dict[str, NDArray[np.float32]]:
    frames = torch.stack([frame.pixels for frame in part]).to(device).float() / 255
    with torch.no_grad():
        maps = network(frames)
    found = {}
    for branch, values in maps.items():
        features = (values if dense else values.mean((2, 3))).float().cpu()
        if not features.isfinite().all():
            raise MagkitError(f"the encoder makes non-finite features of branch '{branch}'")
        found[branch] = features.contiguous().numpy()
    return found


def _write_archive(
    path: Path, columns: Mapping[str, _Column], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write what `numpy.load` reads; a member needs no more memory than a copy's buffer."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, column in columns.items():
            # ZipInfo's own date is constant: equal features give equal bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                shape = (column.count, *column.shape)
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                column.file.seek(0)
                shutil.copyfileobj(column.file, member, 1 << 20)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
