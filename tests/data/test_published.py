"""The published layout, as its other readers and writers have it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.data.open import open_dataset
from magkit.data.plan import Plan
from magkit.errors import MagkitError
from magkit.synth.scene import draw_scene

Made = Callable[..., Path]
FOLDERS = ("frameA", "frameB", "frameC", "amplified")


def somebodys(folder: Path, names: list[str], alphas: str) -> Path:
    """A data set as another generator leaves it."""
    for number, part in enumerate(FOLDERS):
        (folder / part).mkdir(parents=True)
        for level, name in enumerate(names):
            colour = (10 * level, 50 * number, 7)
            Image.new("RGB", (20, 12), colour).save(folder / part / name)
    (folder / "train_mf.txt").write_text(alphas)
    return folder


def test_others_read_what_is_written(made: Made, plan: Plan) -> None:
    folder = made("published")
    alphas = np.loadtxt(folder / "train_mf.txt")
    scenes = [draw_scene(plan.config, 6, 6, 3, index) for index in range(5)]
    # Equation 2 of the paper: a displacement d becomes (1 + alpha) d.
    np.testing.assert_allclose(1 + alphas, [scene.factor for scene in scenes], rtol=1e-15)
    for part, name in zip(FOLDERS, "abcm", strict=True):
        assert sorted(path.name for path in (folder / part).iterdir()) == [
            f"{index:06}.png" for index in range(5)
        ]
        plain = made("folder") / "scenes" / "000002" / f"{name}.png"
        assert (folder / part / "000002.png").read_bytes() == plain.read_bytes()


def test_what_others_wrote_is_read(tmp_path: Path) -> None:
    names = [f"{number:06}.png" for number in (2, 10, 1)]
    data = open_dataset(str(somebodys(tmp_path / "x", names, "9\n19.0\n2.5e1\n")))
    assert (len(data), data.shape, data.has_motion) == (3, (12, 20), False)
    found = data.triplets([0, 1, 2])
    assert found.factor.tolist() == [10, 20, 26]
    levels = (found.m[:, :, 0, 0] * 255).round().int().tolist()
    assert levels == [[20, 150, 7], [0, 150, 7], [10, 150, 7]], "by number, and in colour"
    assert found.motion.isnan().all()
    assert found.moving.isnan().all()


def test_a_part_of_the_pictures_goes_by_number(tmp_path: Path) -> None:
    data = open_dataset(str(somebodys(tmp_path / "x", ["000003.png"], "0 1 2 3 4")))
    assert torch.equal(data.triplets([0]).factor, torch.tensor([4.0]))


@pytest.mark.parametrize(
    ("names", "alphas", "said"),
    [
        (["000000.png"], "", "finite numbers"),
        (["000000.png"], "a lot", "not a list of numbers"),
        (["000000.png"], "nan", "finite"),
        (["000000.png"], "\x00\xff", "not a list of numbers"),
        (["first.png"], "1", "holds no pictures"),
        (["000000.png", "000007.png"], "1", "no line for frameA/000007.png"),
    ],
)
def test_what_is_no_such_layout(tmp_path: Path, names: list[str], alphas: str, said: str) -> None:
    with pytest.raises(MagkitError, match=said):
        open_dataset(str(somebodys(tmp_path / "x", names, alphas)))


def test_a_missing_or_damaged_picture_is_told_by_its_scene(tmp_path: Path) -> None:
    folder = somebodys(tmp_path / "x", ["000000.png", "000001.png"], "1 2")
    (folder / "frameC" / "000001.png").write_bytes(b"no picture")
    (folder / "amplified" / "000000.png").unlink()
    data = open_dataset(str(folder))
    for index in (0, 1):
        with pytest.raises(MagkitError, match=f"scene {index} of"):
            data.triplets([index])
    assert len(data.frames([0, 1])) == 2
