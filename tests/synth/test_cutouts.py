"""Objects that were cut out before: pictures with transparency."""

from pathlib import Path

import fsspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.synth.pictures import MAX_CUTOUT_SIDE, FileCutouts, decode_rgba


def disc(side: int = 80, radius: int = 30) -> npt.NDArray[np.uint8]:
    """A red disc on transparent green."""
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(x - side // 2, y - side // 2) <= radius
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., 1] = 255
    rgba[inside] = (255, 0, 0, 255)
    return rgba


def saved(path: Path, rgba: npt.NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba).save(path, lossless=True)  # which WebP alone heeds
    return path


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_an_object_is_cut_to_what_is_seen(tmp_path: Path, suffix: str) -> None:
    saved(tmp_path / f"x.{suffix}", disc())
    made = FileCutouts(tmp_path).cutout(0, 100)
    assert made.shape == (4, 63, 63)  # 61 pixels across, and one on each side
    assert made[3, 0].max() == made[3, :, -1].max() == 0
    assert made[3].sum() == (disc()[..., 3] == 255).sum()


def test_no_hidden_colour_bleeds_in(tmp_path: Path) -> None:
    saved(tmp_path / "x.png", disc())
    made = FileCutouts(tmp_path).cutout(0, 20)
    assert max(made.shape[1:]) == 20
    assert made[0].min() > 0.98
    assert made[1].max() < 0.02


def test_what_can_not_be_used_is_replaced_and_counted(tmp_path: Path) -> None:
    opaque, clear, tiny = disc(), disc(), disc(radius=8)
    opaque[..., 3], clear[..., 3] = 255, 0
    saved(tmp_path / "a" / "opaque.png", opaque)
    saved(tmp_path / "b-clear.png", clear)
    saved(tmp_path / "c-tiny.png", tiny)
    saved(tmp_path / "d-rgb.png", opaque[..., :3])
    (tmp_path / "e-broken.png").write_bytes(b"no picture")
    cut = saved(tmp_path / "f-cut.png", disc())
    cut.write_bytes(cut.read_bytes()[:200])
    saved(tmp_path / "g.png", disc())
    for place in (tmp_path, "memory://cutouts"):
        for path in tmp_path.rglob("*.png"):
            name = path.relative_to(tmp_path).as_posix()
            fsspec.filesystem("memory").pipe(f"/cutouts/{name}", path.read_bytes())
        cutouts = FileCutouts(place)
        assert len(cutouts) == 7
        cutouts.prepare(range(7))
        assert {cutouts.name(index) for index in range(7)} == {"g.png"}
        assert len(cutouts.unreadable) == 6
        assert torch.equal(cutouts.cutout(0, 30), cutouts.cutout(6, 30))


def test_palettes_grey_and_large_ones(tmp_path: Path) -> None:
    grey = Image.fromarray(disc()[..., [0, 3]], "LA")
    grey.save(tmp_path / "grey.png")
    image = Image.new("P", (90, 90), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.paste(0, (0, 0, 90, 20))
    image.save(tmp_path / "palette.png", transparency=0)
    saved(tmp_path / "z-large.png", disc(1300, 600))
    cutouts = FileCutouts(tmp_path)
    assert cutouts.cutout(0, 500)[:3].min() > 0.98
    assert cutouts.cutout(1, 500).shape == (4, 72, 92)
    np.testing.assert_allclose(cutouts.cutout(1, 500)[:3, 30, 30] * 255, [200, 100, 50], atol=0.1)
    assert max(cutouts.cutout(2, 5000).shape) <= MAX_CUTOUT_SIDE + 2
    assert not cutouts.unreadable


def test_nothing_to_use(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="no cut-outs"):
        FileCutouts(tmp_path)
    saved(tmp_path / "x.png", disc()[..., :3])
    with pytest.raises(MagkitError, match="no cut-out that can be used"):
        FileCutouts(tmp_path).cutout(0, 20)
    with pytest.raises(MagkitError, match=r"x\.png.* no transparency"):
        decode_rgba((tmp_path / "x.png").read_bytes(), "x.png")
