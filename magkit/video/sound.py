"""Sound tracks of a clip, copied or encoded for a container and trimmed to the frames."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from magkit.video.ffmpeg import ffmpeg, input_args
from magkit.video.probe import AudioTrack

_log = logging.getLogger(__name__)

AudioTracks = Literal["none", "first", "all"]
"""The sound tracks that are kept."""

# Codecs that are widely supported in each container.
_AAC_FAMILY = {"aac", "mp3", "ac3", "eac3", "alac"}
_CARRIED: dict[str, set[str]] = {
    ".mp4": _AAC_FAMILY | {"opus", "flac"},
    ".m4v": _AAC_FAMILY,
    ".mov": _AAC_FAMILY | {"pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be", "pcm_f32le"},
    ".mkv": _AAC_FAMILY
    | {"opus", "vorbis", "flac", "dts", "truehd", "mp2", "pcm_s16le", "pcm_s24le", "pcm_f32le"},
    ".webm": {"opus", "vorbis"},
}

# Encoder, bit rate and channel layouts; other layouts are converted to the nearest.
_AAC = ("aac", "256k", "mono|stereo|3.0|4.0|5.0|5.1|7.1(wide)|7.1")
_OPUS = ("libopus", "160k", "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1")

# Sound that starts this much earlier than the picture is cut; less is a codec's priming.
_LEAD = 0.05  # seconds

_WORTH_SEEKING = 5.0  # seconds

# Audio frames (of about 20 ms) that are decoded first to test a track.
_TESTED_FRAMES = 50

# Demuxers for which ffmpeg's zero of time is the first stream in use.
_RELATIVE_ZERO = re.compile("mpeg|ogg|wtv|hls")


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a clip, or of a part of it.

    Args:
        path: The file that holds it.
        container: ffmpeg's name of its demuxer.
        tracks: All sound tracks of the file.
        begin: Seconds from the file's zero to the first frame of the part.
        offset: Seconds from the first frame of the file to the first of the part.
        length: Seconds that the part lasts; None if it ends with the file.
    """

    path: Path
    container: str
    tracks: tuple[AudioTrack, ...]
    begin: float
    offset: float = 0.0
    length: float | None = None


def sound_args(
    sound: Sound | None, suffix: str, choice: AudioTracks
) -> tuple[list[str], list[str], list[str]]:
    """The ffmpeg arguments for sound as its second input.

    Args:
        sound: The sound, if any.
        suffix: Of the container (a gif holds no sound).
        choice: The tracks that are kept.

    Returns:
        Arguments before the output, of the output, and after it; empty if no track can be kept, of
        which a warning tells.
    """
    kept = [] if sound is None or suffix == ".gif" else list(_kept(sound, suffix, choice))
    if sound is None or not kept:
        return [], [], []
    output = [
        argument
        for index, track in enumerate(kept)
        for argument in _coded(index, track, sound, suffix)
    ]
    output += _limit(sound)
    # All streams that the probe used must be used, or the zero of time would differ.
    timed = [number for number, track in enumerate(sound.tracks) if track.start is not None]
    zero = [argument for number in timed for argument in ("-map", f"1:a:{number}")]
    zero = ["-map", "1:V:0", *zero, "-c", "copy", "-f", "null", "-"]
    # Damage between good samples ends no run.
    source = ["-max_error_rate", "1", *_source(sound)]
    return source, output, zero if _RELATIVE_ZERO.match(sound.container) else []


def _source(sound: Sound) -> list[str]:
    """Open the sound with its zero at the result's first frame."""
    sought = sound.begin >= _WORTH_SEEKING and re.match("mov|matroska", sound.container)
    seek = ["-ss", f"{sound.begin - 3:.6f}"] if sought else []
    shift = -3 if sought else -sound.begin
    return [*seek, "-itsoffset", f"{shift:.6f}", *input_args(sound.path)]


def _limit(sound: Sound) -> list[str]:
    return [] if sound.length is None else ["-t", f"{sound.length:.6f}"]


def _decodes(sound: Sound, number: int) -> bool:
    """Whether at most two thirds of a track can't be decoded (ffmpeg's own limit).

    Only if the start of the part fails, all of it is decoded.
    """
    track = ["-map", f"0:a:{number}", "-af", "atrim=start=0", *_limit(sound)]
    for frames in (["-frames:a", str(_TESTED_FRAMES)], []):
        with ffmpeg([*_source(sound), *track, *frames, "-f", "null", "-"]) as child:
            if child.finish() == 0:
                return True
    return False


def _kept(sound: Sound, suffix: str, choice: AudioTracks) -> Iterator[tuple[int, AudioTrack]]:
    """The tracks that can be kept, with their index in the file."""
    if choice == "none":
        return
    for number, track in enumerate(sound.tracks):
        name = f"{sound.path}: sound track {number + 1} ({track.codec})"
        if track.start is None:
            _log.warning("%s is empty or damaged and is left out", name)
        elif not (track.codec in _CARRIED[suffix] or track.has_decoder):
            _log.warning("%s can't be decoded or stored in %s and is left out", name, suffix)
        elif track.has_decoder and not _decodes(sound, number):
            _log.warning("%s is damaged and is left out", name)
        else:
            yield number, track
            if choice == "first":
                return


def _coded(index: int, kept: tuple[int, AudioTrack], sound: Sound, suffix: str) -> list[str]:
    """Copy a track if the container supports its codec, otherwise encode it."""
    number, track = kept
    args = ["-map", f"1:a:{number}", f"-c:a:{index}"]
    if track.codec in _CARRIED[suffix] and track.codec.startswith("pcm_"):
        # PCM in mov has no time stamps: gaps are filled with silence.
        return [*args, track.codec, f"-filter:a:{index}", "atrim=start=0,aresample=async=1"]
    if track.codec in _CARRIED[suffix]:
        # Copied sound is cut between packets. Without this option sound before the cut is kept;
        # with it but without a cut, AAC's priming packet would be lost.
        cut = track.start is not None and track.start - sound.offset < -_LEAD
        return [*args, "copy", *([f"-copypriorss:a:{index}", "0"] if cut else [])]
    encoder, rate, layouts = _OPUS if suffix == ".webm" else _AAC
    # Integers, as damaged sound may decode to non-finite values, which end an encoder.
    chain = f"atrim=start=0,aformat=sample_fmts=s32p:channel_layouts={layouts}"
    return [*args, encoder, f"-b:a:{index}", rate, f"-filter:a:{index}", chain]
