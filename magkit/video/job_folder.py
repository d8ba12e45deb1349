"""Where frames are: in a folder itself, or in a job's, which keeps them as VIDEO/frames."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.video.kinds import SUFFIXES, conversion_hint
from magkit.video.listing import list_frames, list_unread
from magkit.video.numbering import few
from magkit.video.sidecar import SIDECAR

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
            f"{folder} holds several clips: {few((one.name for one in clips), len(clips))}",
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
    unread = list_unread(folder)
    if unread and not near:
        return unread_error(folder, unread)
    kinds = ", ".join(sorted(SUFFIXES))
    return MagkitError(
        f"{folder} holds no {'numbered ' if numbered else ''}frames",
        f"name one folder: {prefix}{near}" if near else f"a frame is a file named {kinds}",
    )


def unread_error(folder: Path, unread: Mapping[Path, str]) -> MagkitError:
    """The error for pictures of a folder whose kinds aren't read as frames.

    Args:
        folder: Where they are.
        unread: Their kinds.
    """
    names = [f"{path.name} is {kind}" for path, kind in unread.items()]
    return MagkitError(
        f"{folder} holds pictures that magkit doesn't read as frames: {few(names, len(names))}",
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
            f"{place} has no folder for the panels {few(map(repr, absent), len(absent))}",
            hint=did_you_mean(absent[0], there),
        )
    return [there[name] for name in names]


def find_foreign(folder: Path) -> list[Path]:
    """What is in a folder of frames and no frame: neither hidden, nor the sidecar."""
    frames = set(list_frames(folder))
    rest = (path for path in folder.iterdir() if path not in frames)
    return sorted(path for path in rest if path.name[0] != "." and path.name != SIDECAR)
