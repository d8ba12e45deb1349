"""`magkit.magnify` on arrays and files: the frames are those of the command, to the bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import magkit
from magkit.cli import run
from magkit.errors import MagkitError, UsageError
from magkit.magnify.api import _texts
from magkit.magnify.band import Band
from magkit.video import ReadOptions, open_video

Clip = Callable[..., Path]
Pixels = NDArray[Any]


@pytest.fixture
def frames(clip: Clip) -> Pixels:
    return np.stack(list(open_video(clip("others", count=12))))


@pytest.fixture
def magnified(weights: Path) -> Callable[..., magkit.MagnifyResult]:
    """`magkit.magnify` with the small network."""

    def magnify(source: Any, **options: Any) -> magkit.MagnifyResult:
        return magkit.magnify(source, weights=weights, device="cpu", **options)

    return magnify


Magnified = Callable[..., magkit.MagnifyResult]
SETTINGS: list[tuple[list[str], dict[str, Any]]] = [
    (["-f", "5"], {"factor": 5}),
    (["-f", "5", "--mode", "dynamic"], {"factor": 5.0, "mode": "dynamic"}),
    (["--band", "2-4", "--order", "1"], {"band": (2, 4), "order": 1}),
    (["--band", "2-4", "--capture-fps", "300"], {"band": "2-4", "capture_fps": 300}),
    (["--mode", "follow", "--band", "2-4"], {"mode": "follow", "band": Band(2, 4)}),
    (["--ramp", "1-20", "--limit", "3"], {"factor": (1, 20), "limit": 3}),
    (["--axis", "30", "--roi", "8,4,16,12"], {"axis": 30, "roi": (8, 4, 16, 12)}),
    (["--mask", "mask.npy", "--average", "3"], {"mask": "mask.npy", "average": 3}),
    (["--band", "2-4", "--band", "6-9"], {"band": [(2, 4), "6-9"]}),
    (["--stabilize"], {"stabilize": "out"}),
    (["--stabilize", "--keep-camera-motion"], {"stabilize": "back"}),
    (["--compare"], {"compare": True}),
    (["--fps", "29.97", "--band", "2-4"], {"fps": 29.97, "band": (2, 4)}),
]


@pytest.mark.parametrize(("arguments", "options"), SETTINGS)
def test_the_frames_are_those_of_the_command(
    magnified: Magnified,
    clip: Clip,
    weights: Path,
    here: Path,
    arguments: list[str],
    options: dict[str, Any],
) -> None:
    source = clip("frames", count=12)
    np.save("mask.npy", np.tri(24, 40, 8))
    command = ["magnify", str(source), "--weights", str(weights), "-o", "made", *arguments]
    assert run(command) == 0
    made = np.stack(list(open_video(here / "made")))
    result = magnified(source, **options)
    assert np.array_equal(result.frames, made)
    if options.get("mask"):
        options = {**options, "mask": np.tri(24, 40, 8)}
    array = np.stack(list(open_video(source)))
    rate = open_video(source).info.rate
    assert np.array_equal(magnified(array, **{"fps": rate, **options}).frames, made)
    written = magnified(source, output="python", **options)
    assert written.output == Path("python")
    assert np.array_equal(list(written.clip), made)
    for name in sorted(path.name for path in (here / "made").iterdir()):
        assert (here / "made" / name).read_bytes() == (here / "python" / name).read_bytes()


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("colour", [False, True])
def test_an_array_keeps_its_shape_and_type(
    magnified: Magnified, frames: Pixels, dtype: str, colour: bool
) -> None:
    wide = frames if colour else frames[..., 1]
    array = (wide / 255).astype(dtype) if dtype[0] == "f" else wide.astype(dtype)
    if dtype == "u2":
        array *= 257
    result = magnified(array, factor=3)
    assert result.frames.shape == array.shape
    assert result.frames.dtype == array.dtype
    difference = np.abs(result.frames.astype(float) - array.astype(float)).max((1, 2))
    assert (difference[0] <= (1e-5 if dtype[0] == "f" else 0)).all()
    assert (difference[3] > 0).all()
    assert np.array_equal(np.asarray(result), result.frames)
    greys = result.frames if colour else result.frames[..., None]
    shown = np.stack(list(result.clip)).astype(float)
    full = np.iinfo(array.dtype).max if dtype[0] == "u" else 1
    assert np.allclose(shown / (255 if dtype == "u1" else 65535), greys / full, atol=1e-5)


def test_greys_are_the_mean_of_the_colours(magnified: Magnified, frames: Pixels) -> None:
    grey = frames[..., 1]
    colour = magnified(np.repeat(grey[..., None], 3, 3), factor=5).frames
    assert np.array_equal(magnified(grey, factor=5).frames, np.rint(colour.mean(3)))


def test_tensors_iterators_and_opened_clips(
    magnified: Magnified, frames: Pixels, clip: Clip
) -> None:
    expected = magnified(frames, factor=5).frames
    opened = open_video(clip("frames", count=12), ReadOptions(deep=True))
    for source in (torch.from_numpy(frames), list(frames), iter(frames), opened):
        assert np.array_equal(magnified(source, factor=5).frames, expected)


def test_a_magnifier_that_is_loaded(weights: Path, frames: Pixels, magnified: Magnified) -> None:
    model = magkit.load_magnifier(weights=weights)
    made = magkit.magnify(frames, factor=5, magnifier=model)
    assert np.array_equal(made.frames, magnified(frames, factor=5).frames)
    with pytest.raises(UsageError, match="loaded already"):
        magkit.magnify(frames, magnifier=model, weights=weights)


def test_options_of_a_magnifier(frames: Pixels) -> None:
    one, two = (
        magkit.magnify(frames, magnifier="phase", options={"per_octave": number}).frames
        for number in (1, 2)
    )
    assert not np.array_equal(one, two)
    assert _texts({"a": (1, 2), "b": None}) == ["a=1,2", "b=None"]
    with pytest.raises(UsageError, match="per_octive"):
        magkit.magnify(frames, magnifier="phase", options={"per_octive": 1})


def test_a_result_is_saved_and_measured(
    magnified: Magnified, clip: Clip, frames: Pixels, here: Path
) -> None:
    source = clip("frames", count=12)
    result = magnified(source, factor=5)
    result.save("saved")
    assert np.array_equal(list(open_video(here / "saved")), result.frames)
    assert open_video(here / "saved").info == open_video(source).info
    with pytest.raises(MagkitError, match="exists"):
        result.save("saved")
    written = magnified(source, output="made.mp4")
    assert open_video(here / "made.mp4").info.frames == 12
    with pytest.raises(UsageError, match=r"in made\.mp4, not in memory"):
        written.frames  # noqa: B018
    with pytest.raises(UsageError, match=r"in made\.mp4 already"):
        written.save("again.mp4")
    magnified(frames, output="array.mp4", fps=30)
    assert open_video(here / "array.mp4").info.rate == 30


def test_the_memory_is_bounded(
    magnified: Magnified, clip: Clip, frames: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clip("frames", count=12)
    monkeypatch.setattr("magkit.magnify.api.MOST_BYTES", frames.nbytes - 1)
    for large in (source, iter(frames)):
        with pytest.raises(UsageError, match="of memory") as caught:
            magnified(large)
        assert "output=" in caught.value.hint
    assert magnified(frames).frames.shape == frames.shape  # as large as what is there already
    monkeypatch.setattr("magkit.magnify.api.MOST_BYTES", frames.nbytes)
    assert magnified(source).frames.shape == frames.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": -1}, "from 0 to 300"),
        ({"factor": float("nan")}, "from 0 to 300"),
        ({"factor": "10"}, "no factor"),
        ({"factor": (1, 2, 3)}, "no factor"),
        ({"mode": "fast"}, "no mode"),
        ({"band": (4, 2), "fps": 30}, "no band"),
        ({"band": (4,), "fps": 30}, "no band"),
        ({"band": [(2, 4), (3, 5)], "fps": 30}, "overlap"),
        ({"band": "auto", "fps": 30}, "not chosen here"),
        ({"band": (2, 4)}, "have no rate"),
        ({"band": (2, 15), "fps": 30}, "half the clip's rate"),
        ({"output": "made.mp4"}, "have no rate"),
        ({"output": "made.xyz", "fps": 30}, "no format"),
        ({"capture_fps": 300}, "matters to a band"),
        ({"fps": -3}, "above 0"),
        ({"limit": -1}, "negative"),
        ({"average": 65}, "1 to 64"),
        ({"order": 9, "band": (2, 4), "fps": 30}, "from 1 to 8"),
        ({"axis": 400}, "360 degrees"),
        ({"mask": np.ones((3, 3))}, "pixels, and the frames"),
        ({"mask": np.full((24, 40), 2)}, "from 0 to 1"),
        ({"mask": np.full((24, 40), "a")}, "numbers from 0 to 1"),
        ({"roi": (0, 0, 50, 5)}, "not inside the frame"),
        ({"roi": (0, 0, 5)}, "no rectangle"),
        ({"roi": (0.5, 0, 5, 5)}, "no rectangle"),
        ({"device": "tpu"}, "no device"),
        ({"magnifier": "magnot"}, "magnot"),
        ({"end": 1.0}, "of files"),
    ],
)
def test_impossible_requests(
    frames: Pixels, here: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        magkit.magnify(frames, **options)


def test_a_failure_leaves_no_file(magnified: Magnified, frames: Pixels, here: Path) -> None:
    bad = frames / 255
    bad[9, 0, 0] = np.nan
    with pytest.raises(UsageError, match="frame 10 holds"):
        magnified(bad, output="made.mp4", fps=30)
    with pytest.raises(KeyboardInterrupt):
        magnified(frames, progress=interrupted)
    assert not list(here.iterdir())


def interrupted(done: int, total: int | None) -> None:
    if done == 5:
        raise KeyboardInterrupt


def test_a_notebook_shows_a_video(magnified: Magnified, frames: Pixels, here: Path) -> None:
    result = magnified(frames, factor=5)
    assert repr(result) == "<MagnifyResult: motion x5, uint8 (12, 24, 40, 3)>"
    assert '<video src="data:video/mp4;base64,' in result._repr_html_()
    written = magnified(frames, output="<b>.mp4", fps=30)
    assert "&lt;b&gt;.mp4" in written._repr_html_()
    assert "<b>" not in written._repr_html_()
