"""Windows of consecutive frames of clips, shrunk until their coding is hardly visible."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from magkit.errors import MagkitError
from magkit.progress import Progress, silent
from magkit.selfsup.frame_source import FrameSource, to_uint8
from magkit.selfsup.frames import LISTS, SUFFIXES, open_frames
from magkit.synth.pictures import SUFFIXES as PICTURES
from magkit.synth.sources import resize
from magkit.video import open_video
from magkit.video.frame_names import natural_key

RECORDINGS = (".cih", ".cihx", ".cine", ".npy")
SPAN = 8  # frames of a window at most
MEMORY = 400 << 20  # bytes of all windows
SHRINK = 2  # sides of a clip's frames over those of a window, at least, where they are large
TALLEST = 288  # pixels: the shorter side of a window at most


class WindowSource(Protocol):
    """Numbered windows of clips. A window is a pure function of its number."""

    def __len__(self) -> int: ...

    def windows(self, indices: Sequence[int]) -> list[Tensor]:
        """Return windows of consecutive frames, uint8 (K, 3, H, W) each; K is 1 of a picture."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return a JSON object that differs where windows do."""
        ...

    def __str__(self) -> str: ...


class ClipWindows:
    """Windows of videos and of folders of frames.

    Frames are shrunk twofold or more, but their shorter side stays at least `side` pixels. Of
    every clip windows at even distances are kept, as many as fit into the memory.

    Args:
        paths: the clips.
        side: pixels that the shorter side keeps.
        place: name of all of them, for messages.
        memory: bytes at most; one window of each clip is kept in any case.
        progress: called with the clips decoded.

    Raises:
        MagkitError: a clip can't be read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        side: int,
        place: str,
        memory: int = MEMORY,
        progress: Progress = silent,
    ) -> None:
        self._place = place
        self._clips = list[Tensor]()
        for done, path in enumerate(paths):
            progress(done, len(paths))
            self._clips.append(_decode(path, side, memory // len(paths)))
        progress(len(paths), len(paths))
        self._starts = [
            (clip, start)
            for clip, frames in enumerate(self._clips)
            for start in range(0, max(len(frames) - SPAN, 0) + 1, SPAN)
        ]

    def __len__(self) -> int:
        return len(self._starts)

    def __str__(self) -> str:
        return f"{len(self)} windows of {len(self._clips)} clips of {self._place}"

    def windows(self, indices: Sequence[int]) -> list[Tensor]:
        """Return windows; see `WindowSource`."""
        places = (self._starts[index] for index in indices)
        return [self._clips[clip][start : start + SPAN] for clip, start in places]

    def describe(self) -> dict[str, Any]:
        """Return the numbers of clips and windows, and a hash of all pixels."""
        digest = sha256()
        for frames in self._clips:
            digest.update(frames.numpy().data)
        return {"clips": len(self._clips), "windows": len(self), "sha256": digest.hexdigest()}

    def hold_out(self, share: float) -> tuple[WindowSubset, WindowSubset]:
        """Split every clip into windows to train on, and its last ones, which are kept out.

        Args:
            share: of a clip's windows that are kept out, rounded to at least one.

        Raises:
            MagkitError: no clip has more than one window.
        """
        kept, out = list[int](), list[int]()
        for clip in range(len(self._clips)):
            numbers = [n for n, (of, _) in enumerate(self._starts) if of == clip]
            count = max(round(share * len(numbers)), 1) if len(numbers) > 1 else 0
            kept += numbers[: len(numbers) - count]
            out += numbers[len(numbers) - count :]
        if not out:
            raise MagkitError(
                f"the clips are too short to keep a part out: {self}",
                f"a clip of {2 * SPAN} frames or more is needed",
            )
        return WindowSubset(self, kept), WindowSubset(self, out)


class WindowSubset:
    """Some of the windows of a source."""

    def __init__(self, source: WindowSource, numbers: Sequence[int]) -> None:
        self._source, self._numbers = source, tuple(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __str__(self) -> str:
        return f"{len(self)} of {self._source}"

    def windows(self, indices: Sequence[int]) -> list[Tensor]:
        """Return windows; see `WindowSource`."""
        return self._source.windows([self._numbers[index] for index in indices])

    def describe(self) -> dict[str, Any]:
        """Return what the source is, and which of its windows these are."""
        return {"of": self._source.describe(), "windows": list(self._numbers)}


def _decode(path: Path, side: int, memory: int) -> Tensor:
    """Return windows of a clip one after the other, uint8 (F, 3, h, w)."""
    video = open_video(path)
    height, width = video.info.height, video.info.width
    short = min(height, width)
    shrink = short / min(max(min(short / SHRINK, TALLEST), side), short)
    size = round(height / shrink), round(width / shrink)
    most = max(memory // (3 * size[0] * size[1]) // SPAN, 1)  # windows
    every, kept = 1, list[list[Tensor]]()
    for number, pixels in enumerate(video):
        window, place = divmod(number, SPAN)
        if window % every:
            continue
        if not place and len(kept) == most:
            every, kept = 2 * every, kept[::2]
            if window % every:
                continue
        if not place:
            kept.append([])
        kept[-1].append(_shrunk(pixels, size))
    frames = [frame for window in kept for frame in window]
    if len(frames) < 2:
        raise MagkitError(f"{path} holds a single frame", "give clips of 2 frames or more")
    return torch.stack(frames)


def _shrunk(pixels: Any, size: tuple[int, int]) -> Tensor:
    frame = torch.from_numpy(pixels).permute(2, 0, 1)
    if frame.shape[1:] == size:
        return frame.contiguous()
    return to_uint8(resize(frame.float() / torch.iinfo(frame.dtype).max, *size))


class StillWindows:
    """Pictures, or the first frames of scenes, as windows of one frame."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __str__(self) -> str:
        return str(self._frames)

    def windows(self, indices: Sequence[int]) -> list[Tensor]:
        """Return windows; see `WindowSource`."""
        return list(to_uint8(self._frames.frames(indices, "a"))[:, None])

    def describe(self) -> dict[str, Any]:
        """Return what the frames are."""
        return self._frames.describe()


def open_windows(
    places: Sequence[str | Path], side: int, *, scenes: int = 1000, progress: Progress = silent
) -> WindowSource:
    """Open clips, or, where there are none, pictures or scenes as `open_frames` does.

    Args:
        places: videos, folders of numbered frames, or folders of either; none: what `open_frames`
            finds.
        side: pixels that the shorter side keeps.
        scenes: number of procedural scenes, where there is nothing else.
        progress: called with the clips decoded.

    Raises:
        MagkitError: there is nothing at a place, or what can't be read.
    """
    clips = [clip for place in places for clip in find_clips(Path(place))]
    if clips:
        name = str(places[0]) + (f" and {len(places) - 1} more" if len(places) > 1 else "")
        return ClipWindows(clips, side, name, progress=progress)
    place = str(places[0]) if places else None
    return StillWindows(open_frames(place, side, scenes=scenes, progress=progress))


def find_clips(place: Path) -> list[Path]:
    """Return the clips at a place, in natural order.

    A file is a clip unless it is a picture or stands for many. A folder of three or more pictures
    is one; of any other folder, videos, recordings of high-speed cameras and its folders are.
    """
    if place.is_file():
        return [] if place.suffix.lower() in {*PICTURES, *LISTS, ".json"} else [place]
    if not place.is_dir():
        return []
    inside = sorted(place.iterdir(), key=natural_key)
    if sum(path.suffix.lower() in PICTURES for path in inside) > 2:
        return [place]
    clips = [p for p in inside if p.is_dir() or p.suffix.lower() in {*SUFFIXES, *RECORDINGS}]
    return [clip for path in clips if path.name[0] != "." for clip in find_clips(path)]
