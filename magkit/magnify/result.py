"""The result of `magkit.magnify`: frames or a file, and how a notebook shows them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.video import VideoSource, WriteOptions, write_video
from magkit.video.preview import preview


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MagnifyResult:
    """A clip in which motion is larger, in memory or in a file.

    NumPy's functions take it for the array of its frames.

    Attributes:
        clip: the result as an opened clip: `for frame in result.clip` streams it as (H, W, 3) of
            uint8 or uint16, and `magkit.measure` takes it.
        settings: what was asked for, in words.
        output: the file or folder that was written; None: it is in memory.
        array: the frames; None: they are in the file.
    """

    clip: VideoSource
    settings: str
    output: Path | None
    array: NDArray[Any] | None

    @property
    def frames(self) -> NDArray[Any]:
        """The frames, of the shape and type of an array that was magnified.

        Of a file they are (T, H, W, 3), uint8, or uint16 if it has more than 8 bits.

        Raises:
            UsageError: they were written to a file.
        """
        if self.array is None:
            raise UsageError(
                f"the frames are in {self.output}, not in memory", "iterate over the result's clip"
            )
        return self.array

    @property
    def fps(self) -> float:
        """Frames per second at which the result plays."""
        return float(self.clip.info.rate)

    def save(
        self,
        path: str | Path,
        *,
        quality: int | None = None,
        pix_fmt: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the frames to a video by its suffix, or to a folder of PNG files without one.

        Args:
            path: of the result.
            quality: constant rate factor, 0 is the best; None: near lossless.
            pix_fmt: as `WriteOptions.pix_fmt`.
            overwrite: whether an existing result is replaced.

        Raises:
            UsageError: the suffix is unknown, or doesn't support the options; or there is a file.
            MagkitError: the result exists or can't be written.
        """
        options = WriteOptions(quality=quality, pix_fmt=pix_fmt, overwrite=overwrite)
        if self.array is None:
            raise UsageError(f"the frames are in {self.output} already", "copy the file")
        write_video(Path(path), self.clip, self.clip.info, options, sound=self.clip.sound)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """Return the frames for `numpy.asarray`."""
        return np.array(self.frames, dtype, copy=copy)

    def __repr__(self) -> str:
        """Return a line: what was asked for, and where the frames are."""
        info = self.clip.info
        if self.array is None:
            there = f"{info.width} x {info.height} pixels, {info.frames} frames in {self.output}"
        else:
            there = f"{self.array.dtype} {self.array.shape}"
        return f"<MagnifyResult: {self.settings}, {there}>"

    def _repr_html_(self) -> str:
        """Return a small video of the result."""
        words = escape(repr(self)[1:-1].partition(": ")[2])
        words = f"<figcaption>{words}</figcaption>"
        return f'<figure style="margin: 0">{preview(self.clip)}{words}</figure>'
