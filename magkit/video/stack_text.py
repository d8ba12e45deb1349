"""What the descriptions in TIFF files of ImageJ and OME tell of a stack."""

import re
from dataclasses import dataclass
from fractions import Fraction

from PIL.ImageFile import ImageFile

from magkit.video.info import snap_rate

_DESCRIPTION = 270  # TIFF 6.0: ImageDescription

_NUMBER = r"(\d{1,9}(?:\.\d{1,18})?(?:[eE]-?\d{1,2})?)"
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), Fraction(1)),
    **dict.fromkeys(("ms", "msec"), Fraction(1, 1000)),
    **dict.fromkeys(("us", "µs", "usec"), Fraction(1, 1_000_000)),
    "min": Fraction(60),
}


@dataclass(frozen=True, slots=True)
class StackText:
    """The description of a file's first page.

    Args:
        text: As it stands there; empty: there is none.
    """

    text: str

    @property
    def is_imagej(self) -> bool:
        """Whether ImageJ wrote it, or a program that writes as ImageJ does."""
        return self.text.startswith("ImageJ=")

    def count(self, name: str) -> int:
        """How many "images", "channels", "slices" or "frames" ImageJ says that there are."""
        match = re.search(rf"^{name}=(\d{{1,9}})\s*$", self.text, re.MULTILINE)
        return int(match[1]) if match and self.is_imagej else 1

    @property
    def rate(self) -> Fraction | None:
        """Frames a second: by the interval of frames, else as ImageJ plays them; None: untold."""
        if interval := self._interval():
            return snap_rate(1 / interval)
        match = re.search(rf"^fps={_NUMBER}\s*$", self.text, re.MULTILINE)
        told = Fraction(match[1]) if match and self.is_imagej else None
        return snap_rate(told) if told else None

    def _interval(self) -> Fraction | None:
        """Seconds from frame to frame, if they are told."""
        if self.is_imagej:
            match = re.search(rf"^finterval={_NUMBER}\s*$", self.text, re.MULTILINE)
            unit = re.search(r"^tunit=(\S+)\s*$", self.text, re.MULTILINE)
        else:
            match = re.search(rf'\bTimeIncrement="{_NUMBER}"', self.text)
            unit = re.search(r'\bTimeIncrementUnit="([^"]*)"', self.text)
        seconds = _SECONDS.get(unit[1] if unit else "s")
        return Fraction(match[1]) * seconds if match and seconds else None


def read_text(image: ImageFile) -> StackText:
    """The description of the page that an image is at; an empty one of other files than TIFF."""
    return StackText(str(getattr(image, "tag_v2", {}).get(_DESCRIPTION, "")))
