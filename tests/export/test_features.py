"""Features of frames: equal to those computed at once, in order, with names and times."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from magkit.cli import run
from magkit.errors import MagkitError, UsageError
from magkit.export.features import embed, read_frames
from magkit.export.networks import open_encoder
from magkit.video import open_video

Clips = Callable[..., Path]


def central(pixels: NDArray[np.uint8], size: int) -> torch.Tensor:
    """The central square, where it needs no scaling."""
    top, left = ((length - size) // 2 for length in pixels.shape[:2])
    return torch.from_numpy(pixels[top : top + size, left : left + size].copy()).permute(2, 0, 1)


def test_pooled_features_of_pictures_and_a_clip(
    encoder_path: Path, pictures: Path, clip: Clips, tmp_path: Path
) -> None:
    encoder, video = open_encoder(str(encoder_path)), clip(6)
    done = embed(encoder, [str(pictures), str(video)], tmp_path / "x.npz", size=32, batch=4)
    assert (done.frames, done.sources) == (11, 6)
    with np.load(tmp_path / "x.npz") as found:
        assert set(found) == {"texture", "motion", "sources", "source", "frame", "time", "about"}
        assert found["texture"].shape == found["motion"].shape == (11, 8)
        assert found["texture"].dtype == np.float32
        names = [Path(name).name for name in found["sources"]]
        assert names == [*(f"{n}.png" for n in range(5)), "clip.mkv"]
        assert found["source"].tolist() == [0, 1, 2, 3, 4, *[5] * 6]
        assert found["frame"].tolist() == [0] * 5 + list(range(6))
        assert np.isnan(found["time"][:5]).all()
        np.testing.assert_allclose(found["time"][5:], np.arange(6) / 25)
        about = json.loads(str(found["about"]))
        assert (about["magnifier"], about["method"], about["size"]) == ("magnet-fast", "byol", 32)
        frames = torch.stack([central(frame, 32) for frame in open_video(video)]).float() / 255
        maps = encoder.network(frames)
        for branch in ("texture", "motion"):
            wanted = maps[branch].double().mean((2, 3)).numpy()
            np.testing.assert_allclose(found[branch][5:], wanted, atol=1e-6)


def test_dense_maps_of_every_other_frame(encoder_path: Path, clip: Clips, tmp_path: Path) -> None:
    encoder, video = open_encoder(str(encoder_path)), clip(5)
    embed(encoder, [str(video)], tmp_path / "x.npz", size=32, dense=True, every=2, batch=2)
    with np.load(tmp_path / "x.npz") as found:
        assert found["frame"].tolist() == [0, 2, 4]
        frames = torch.stack([central(frame, 32) for frame in open_video(video)])[::2]
        wanted = encoder.network(frames.float() / 255)["motion"].numpy()
        assert found["motion"].shape == (3, 8, 8, 8)
        np.testing.assert_allclose(found["motion"], wanted, atol=1e-6)


def test_equal_bytes(encoder_path: Path, pictures: Path, tmp_path: Path) -> None:
    encoder = open_encoder(str(encoder_path))
    for name in ("one.npz", "other.npz"):
        embed(encoder, [str(pictures)], tmp_path / name, size=32)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    with pytest.raises(MagkitError, match="exists"):
        embed(encoder, [str(pictures)], tmp_path / "one.npz", size=32)


def test_a_data_set(encoder_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = ["--kind", "frames", "--count", "3", "--size", "64", "--procedural", "2"]
    assert run(["gen-data", "-o", "set", *made]) == 0
    done = embed(open_encoder(str(encoder_path)), ["set"], Path("x.npz"), size=32)
    assert (done.frames, done.sources) == (3, 1)
    with np.load("x.npz") as found:
        assert found["frame"].tolist() == [0, 1, 2]


def test_frames_are_read_one_at_a_time(clip: Clips) -> None:
    frames = read_frames(str(clip(4)), 16)
    first = next(frames)
    assert (first.number, first.time) == (0, 0.0)
    assert first.pixels.shape == (3, 16, 16)
    assert first.pixels.dtype == torch.uint8
    assert len(list(frames)) == 3


def test_one_picture(tmp_path: Path) -> None:
    Image.new("RGB", (20, 16), "red").save(tmp_path / "red.png")
    (only,) = read_frames(str(tmp_path / "red.png"), 16)
    assert math.isnan(only.time)
    assert only.pixels.float().mean((1, 2)).tolist() == [255, 0, 0]


def test_broken_files(
    encoder_path: Path,
    pictures: Path,
    clip: Clips,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder, video = open_encoder(str(encoder_path)), clip(6)
    (pictures / "2.png").write_bytes((pictures / "2.png").read_bytes()[:200])
    (pictures / "3.png").write_bytes(b"")
    assert embed(encoder, [str(pictures)], tmp_path / "x.npz", size=32).frames == 3
    assert caplog.text.count("left out") == 2
    with pytest.raises(MagkitError, match=r"0\.txt|no such|there is"):
        embed(encoder, [str(tmp_path / "0.png")], tmp_path / "y.npz", size=32)
    video.write_bytes(video.read_bytes()[:300])
    with pytest.raises(MagkitError):
        embed(encoder, [str(video)], tmp_path / "y.npz", size=32)
    (tmp_path / "none").mkdir()
    with pytest.raises(MagkitError, match="neither pictures nor videos"):
        embed(encoder, [str(tmp_path / "none")], tmp_path / "y.npz", size=32)
    assert not (tmp_path / "y.npz").exists()


def test_sizes_that_do_not_suit(encoder_path: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="30 pixels don't suit 'magnet-fast'"):
        embed(open_encoder(str(encoder_path)), [str(pictures)], tmp_path / "x.npz", size=30)
