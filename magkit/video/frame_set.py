"""The frames of a folder, checked: each there once, none missing, all of one size."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.video.depth import Depth, find_depth
from magkit.video.formats import SUFFIXES, conversion_hint
from magkit.video.frame_names import (
    MissingNumbers,
    clock_times,
    count_steps,
    find_gaps,
    frame_numbers,
    index_by_name,
    list_frames,
    list_unsupported,
    normalized_stem,
    summarize,
)
from magkit.video.info import ReadOptions
from magkit.video.pictures import ImageHeader, open_picture
from magkit.video.tiff import find_contiguous_stack

FRAMES = "frames"


def find_frames(folder: Path) -> tuple[Path, str]:
    """The folder that holds the pictures, and the name of their clip.

    It is `folder` where that holds pictures, else its subfolder `frames`, else the only `*/frames`.
    Above folders of pictures one without a number, such as a contact sheet, is no frame.

    Raises:
        UsageError: There are several `*/frames`.
        MagkitError: It does not exist, is no folder, or there is no picture.
    """
    _check_folder(folder)
    own = list_frames(folder)
    if any(re.search(r"\d", path.stem) for path in own):
        return folder, folder.resolve().name or FRAMES
    clips = [folder] if _holds_frames(folder) else list(filter(_holds_frames, subfolders(folder)))
    deeper = None if clips else _pictures_below(folder)
    if own and not clips and deeper is None:
        return folder, folder.resolve().name or FRAMES
    if not clips:
        raise _no_frames(folder, deeper, numbered=bool(own), prefix="magkit stitch ")
    if len(clips) > 1:
        raise UsageError(
            f"{folder} holds several clips: {summarize((one.name for one in clips), len(clips))}",
            hint=f"name one: magkit stitch {clips[0]}",
        )
    return clips[0] / FRAMES, clips[0].resolve().name


def check_frames_here(folder: Path, frames: Sequence[Path]) -> None:
    """Refuse a folder whose frames lie further down.

    Args:
        folder: That should hold them.
        frames: The pictures in it: a lone contact sheet is no frame.

    Raises:
        MagkitError: Pictures without numbers, or none, lie above folders of frames. It names one.
    """
    if any(re.search(r"\d", path.stem) for path in frames):
        return
    clip = next(filter(_holds_frames, [folder, *subfolders(folder)]), None)
    deeper = clip / FRAMES if clip else _pictures_below(folder)
    if deeper or not frames:
        raise _no_frames(folder, deeper, numbered=bool(frames))


def _no_frames(
    folder: Path, deeper: Path | None, *, numbered: bool, prefix: str = ""
) -> MagkitError:
    near = deeper or next(filter(list_frames, subfolders(folder)), None)
    unread = list_unsupported(folder)
    if unread and not near:
        return unsupported_error(folder, unread)
    kinds = ", ".join(sorted(SUFFIXES))
    return MagkitError(
        f"{folder} holds no {'numbered ' if numbered else ''}frames",
        f"name one folder: {prefix}{near}" if near else f"a frame is a file named {kinds}",
    )


def unsupported_error(folder: Path, unread: Mapping[Path, str]) -> MagkitError:
    """The error for pictures of a folder whose kinds aren't read as frames.

    Args:
        folder: Where they are.
        unread: Their kinds.
    """
    names = [f"{path.name} is {kind}" for path, kind in unread.items()]
    return MagkitError(
        f"{folder} holds pictures that magkit doesn't read as frames: "
        f"{summarize(names, len(names))}",
        conversion_hint(next(iter(unread.values()))),
    )


def _pictures_below(folder: Path) -> Path | None:
    """The first clip or folder of pictures two levels down, as sweeps and classes are kept."""
    deeper = (one for part in subfolders(folder) for one in subfolders(part))
    return next((one for one in deeper if _holds_frames(one) or list_frames(one)), None)


def _holds_frames(folder: Path) -> bool:
    frames = folder / FRAMES
    return frames.is_dir() and bool(list_frames(frames))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones, which may be half-written, are left out."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise MagkitError(
            f"{folder} is a file, not a folder of frames", hint="name the folder the frames are in"
        )
    siblings = subfolders(folder.parent) if folder.parent.is_dir() else []
    hint = did_you_mean(folder.name, [one.name for one in siblings]) if siblings else ""
    raise MagkitError(f"{folder} does not exist", hint)


def find_panels(frames: Path, names: Sequence[str]) -> list[Path]:
    """The folders beside the one of the frames, itself included, in the order of `names`.

    Raises:
        UsageError: One isn't there.
    """
    # The parent of "." is no other folder; that of a link is the link's.
    place = frames.parent if frames.name not in {"", ".."} else frames.resolve().parent
    there = {one.name: one for one in subfolders(place)}
    if absent := [name for name in names if name not in there]:
        raise UsageError(
            f"{place} has no folder for the panels {summarize(map(repr, absent), len(absent))}",
            hint=did_you_mean(absent[0], there),
        )
    return [there[name] for name in names]


# What may stand beside frames without being one: previews and drawings.
_NO_FRAMES = {"GIF", "SVG", "Photoshop"}


@dataclass(frozen=True, slots=True)
class FrameSet:
    """The pictures of a clip.

    Args:
        paths: In natural order, or in that of the clock times in their names.
        headers: What is known of each without decoding it.
        numbers: Of each, from its name; empty where names have none. Of clock times, the steps
            since the first.
        missing: Numbers that no picture has.
    """

    paths: tuple[Path, ...]
    headers: tuple[ImageHeader, ...]
    numbers: tuple[int, ...]
    missing: MissingNumbers

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each, upright."""
        return self.headers[0].size


def check_frames(folder: Path, options: ReadOptions, *, gaps_hint: str) -> FrameSet:
    """Find the frames of a folder and check that they make one clip; no pixels are read.

    Args:
        folder: Of the frames.
        options: Of these, `pattern` and `gaps` count.
        gaps_hint: The hint of the error for missing frames.

    Raises:
        UsageError: No name matches the pattern.
        MagkitError: There are no frames, one is missing, duplicated, of another size or of an
            unsupported format, or one can't be read.
    """
    pattern = options.pattern
    paths = list_frames(folder, pattern)
    unread = list_unsupported(folder, pattern)
    if pattern != "*" and not paths:
        raise _no_match(folder, pattern)
    check_frames_here(folder, paths)
    if alone := _alone(paths, unread):
        raise unsupported_error(folder, alone)
    index_by_name(paths)
    paths, numbers, step = _in_order(folder, paths)
    missing = find_gaps(numbers)
    if missing.count and not options.gaps:
        what = missing if step is None else _first_gap(paths, numbers, step)
        raise MagkitError(f"frames are missing from {folder}: {what}", gaps_hint)
    headers = read_headers(paths)
    check_sizes(paths, headers)
    return FrameSet(tuple(paths), headers, tuple(numbers), missing)


def _in_order(folder: Path, paths: Sequence[Path]) -> tuple[list[Path], list[int], Fraction | None]:
    """Frames in their order, their numbers, and the seconds of a step if clock times number them.

    Clock times count only where numbers in the names don't count the frames one by one.
    """
    times = clock_times(paths)
    if times is None or _is_counted(paths):
        return list(paths), frame_numbers(paths), None
    named = dict(zip(times, paths, strict=True))
    ordered = sorted(named)
    step, numbers = count_steps(ordered)
    logging.getLogger(__name__).info(
        "%s: frames are named by the clock, one every %g s", folder, float(step)
    )
    return [named[time] for time in ordered], numbers, step


def _is_counted(paths: Sequence[Path]) -> bool:
    try:
        numbers = frame_numbers(paths)
    except MagkitError:
        return False
    return all(b - a == 1 for a, b in pairwise(numbers))


def _first_gap(paths: Sequence[Path], numbers: Sequence[int], step: Fraction) -> str:
    gaps = [place for place, (a, b) in enumerate(pairwise(numbers)) if b - a > 1]
    one, other = paths[gaps[0]], paths[gaps[0] + 1]
    others = f", and {len(gaps) - 1} more such" if len(gaps) > 1 else ""
    return f"from {one.name} to {other.name} it is more than the usual {float(step):g} s{others}"


def _no_match(folder: Path, pattern: str) -> UsageError:
    there = [path.name for path in list_frames(folder)]
    hint = f"there are {summarize(there, len(there))}" if there else "there are no pictures at all"
    return UsageError(f"no picture in {folder} is named as {pattern!r} says", hint)


def _alone(paths: Sequence[Path], unread: dict[Path, str]) -> dict[Path, str]:
    """Frames of kinds that aren't read; not raw twins of those that are, drawings, animations."""
    known = {normalized_stem(path) for path in paths}
    return {
        path: kind
        for path, kind in unread.items()
        if normalized_stem(path) not in known
        and kind not in _NO_FRAMES
        and re.search(r"\d", path.stem)
    }


def read_headers(paths: Sequence[Path]) -> tuple[ImageHeader, ...]:
    """What is known of pictures without decoding them.

    Raises:
        MagkitError: One can't be read, or holds several frames.
    """
    return tuple(map(_read_header, paths))


def _read_header(path: Path) -> ImageHeader:
    with open_picture(path) as picture:
        header = picture.header()
        bare = find_contiguous_stack(path, picture)
        several = bare.held if bare else 1
        # The further pictures of a photograph (MPO) and smaller versions of a page are no frames.
        if picture.pages > 1 and picture.image.format != "MPO":
            others = (picture.header(index) for index in range(1, picture.pages))
            several += sum(one.size == header.size and not one.reduced for one in others)
    if several > 1:
        raise MagkitError(
            f"{path} holds {several} frames by itself",
            hint="give it as the clip, or leave it out with --pattern",
        )
    return header


def check_sizes(paths: Sequence[Path], headers: Sequence[ImageHeader]) -> None:
    """Refuse pictures that differ in size.

    Raises:
        MagkitError: They do; those that are not as most of them are named.
    """
    usual = Counter(header.size for header in headers).most_common(1)[0][0]
    odd = [
        (path, "{}x{}".format(*header.size))
        for path, header in zip(paths, headers, strict=True)
        if header.size != usual
    ]
    if odd:
        (first, size), *rest = odd
        names = [f"{path.name} ({other})" for path, other in rest]
        others = f"; nor are {summarize(names, len(names))}" if names else ""
        raise MagkitError(
            f"{first} is {size}, not {usual[0]}x{usual[1]} as other frames are{others}",
            hint="all frames of a clip have one size: --pattern leaves others out",
        )


def frames_depth(
    name: object,
    paths: Sequence[Path],
    headers: Sequence[ImageHeader],
    stated: int | None,
    recorded: int = 8,
) -> Depth:
    """The depth of the values of frames (see `find_depth`).

    Args:
        name: The clip.
        paths: Its pictures.
        headers: Of each.
        stated: The depth that the user states for 16-bit pictures, or None.
        recorded: The depth of the clip that frames come from, if its sidecar tells: magkit scales
            values to all of 16 bits. 8: it tells nothing.

    Raises:
        UsageError: The stated depth is none, or there are only 8-bit pictures.
        MagkitError: A picture can't be read.
    """
    deep = [pair for pair in zip(paths, headers, strict=True) if pair[1].is_deep]
    if deep and stated is None and recorded > 8:
        return Depth(recorded)

    def read(place: int) -> NDArray[Any]:
        path, header = deep[place]
        with open_picture(path) as picture:
            return picture.read(header)

    return find_depth(name, [header.declared for _, header in deep], stated, read)
