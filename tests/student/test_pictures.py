"""Labels of pictures, against plain NumPy; which frames students are tested on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert.davis import open_video_masks
from magkit.invert.plan import ClipPlan, plan_clip
from magkit.invert.settings import make_settings
from magkit.protocols import Annotation
from magkit.student.held_out import classes_of, held_out_frames
from magkit.student.pictures import (
    Labelled,
    Labeller,
    controls,
    hard_shares,
    soft_shares,
    unrelated,
)

CLASSES = ("bear", "dog")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three videos of 96x64 pixels; a frame's grey is its number, its object a box."""
    root = tmp_path / "DAVIS"
    for video, count in {"bear": 14, "dog": 2, "libby": 3, "cows": 2}.items():
        for kind, suffix in (("Annotations", "png"), ("JPEGImages", "jpg")):
            folder = root / kind / "480p" / video
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.zeros((64, 96), np.uint8)
                pixels[8:40, 10 + number : 50 + number] = 255
                if suffix == "jpg":
                    pixels = np.full((64, 96), 10 * number, np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:05d}.{suffix}")
    return root


def plans(root: Path, **frames: str) -> list[ClipPlan]:
    settings = make_settings("fast", {"size": 64})
    return [
        plan_clip(open_video_masks(root, video), chosen, (), settings, {})
        for video, chosen in frames.items()
    ]


def test_hard_labels_are_one_hot() -> None:
    bear, dog = torch.zeros(4, 6, dtype=torch.bool), torch.zeros(4, 6, dtype=torch.bool)
    bear[:2] = True
    dog[1:3, :3] = True
    shares = hard_shares([("bear", bear), ("dog", dog)], CLASSES, (4, 6))
    truth = np.zeros((3, 4, 6))
    truth[2, 1:3, :3] = 1
    truth[1, :2] = 1 - truth[2, :2]
    truth[0] = 1 - truth[1:].sum(0)
    assert np.array_equal(shares.numpy(), truth)


def test_soft_labels_are_probabilities() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b, c = (torch.rand(4, 6, generator=rng) for _ in range(3))
    found = [
        Annotation("bear", a, 0.9),
        Annotation("bear", b, 0.6),
        Annotation("dog", c, 0.8),
        Annotation("cow", c, 1.0),
        Annotation("dog", None, 1.0),
    ]
    shares = soft_shares(found, CLASSES, (4, 6)).numpy()
    bear, dog = np.maximum(0.9 * a.numpy(), 0.6 * b.numpy()), 0.8 * c.numpy()
    total = np.maximum(bear + dog, 1)
    assert np.allclose(shares[1], bear / total)
    assert np.allclose(shares[2], dog / total)
    assert np.allclose(shares.sum(0), 1)
    assert np.allclose(soft_shares([], CLASSES, (4, 6))[0], 1)


def test_held_out_are_other_frames_and_other_videos(root: Path) -> None:
    made = plans(root, bear="0-1", dog="all")
    assert classes_of(made) == ("bear", "dog")
    tests = held_out_frames(made, root, CLASSES)
    bear = [each for each in tests if each.video == "bear"]
    assert [each.stem for each in bear][:2] == ["00002", "00003"]
    assert len(bear) == 10, "of twelve that are left"
    assert bear[-1].stem == "00013"
    assert all(each.same and each.label == "bear" for each in bear)
    others = [each for each in tests if not each.same]
    assert [(each.video, each.stem) for each in others] == [("libby", f"0000{n}") for n in range(3)]
    assert {each.label for each in others} == {"dog"}
    assert others[2].mask_HW.sum() == 32 * 40
    assert others[2].mask_HW[8:40, 12:52].all()
    assert others[2].image_3HW.mean().item() == pytest.approx(20 / 255, abs=0.01)
    cows = plans(root, cows="all")
    with pytest.raises(MagkitError, match="no real frames of cow but those that were inverted"):
        held_out_frames(cows, root, ("cow",))


def test_frames_of_any_run_are_left_out(root: Path) -> None:
    made = [*plans(root, bear="0-1"), *plans(root, bear="2-12")]
    tests = held_out_frames(made, root, ("bear",))
    assert [each.stem for each in tests] == ["00013"]


def test_objects_keep_their_classes_where_others_leave(root: Path) -> None:
    masks = root / "Annotations/480p/bear"
    for number, labels in ((0, (1, 2)), (1, (2,)), (2, ())):
        pixels = np.zeros((64, 96), np.uint8)
        for label in labels:
            pixels[4:20, 30 * label : 30 * label + 20] = label
        Image.fromarray(pixels).save(masks / f"{number:05d}.png")
    for path in sorted(masks.glob("*.png"))[3:]:
        path.unlink()
    settings = make_settings("fast", {"size": 64})
    plan = plan_clip(open_video_masks(root, "bear"), "0", ("bear", "dog"), settings, {})
    tests = held_out_frames([plan], root, CLASSES)
    bear = [each for each in tests if each.video == "bear"]
    assert [(each.stem, each.label) for each in bear] == [("00001", "dog")]
    assert bear[0].mask_HW[4:20, 60:80].all()


def test_other_videos_may_begin_without_their_object(root: Path) -> None:
    folder = root / "Annotations/480p/libby"
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(folder / "00000.png")
    tests = held_out_frames(plans(root, dog="all"), root, ("dog",))
    assert [each.stem for each in tests] == ["00001", "00002"]
    for number in (1, 2):
        Image.fromarray(np.zeros((64, 96), np.uint8)).save(folder / f"{number:05d}.png")
    with pytest.raises(MagkitError, match="no real frames of dog"):
        held_out_frames(plans(root, dog="all"), root, ("dog",))


def test_controls_have_the_frames_masks(root: Path) -> None:
    made, kinds = plans(root, bear="3,5", dog="0"), ("real frame", "noise", "flat mask")
    found = controls(made, kinds, CLASSES, (64, 96))
    assert {len(each) for each in found.values()} == {3}
    assert [each.name for each in found["noise"]] == ["bear/00003", "bear/00005", "dog/00000"]
    assert found["real frame"][1].image_3HW.mean().item() == pytest.approx(50 / 255, abs=0.01)
    for arm in found.values():
        assert arm[1].shares_CHW[1].sum() == 32 * 40
        assert arm[2].shares_CHW[2].sum() == 32 * 40
    half = controls(made, kinds, CLASSES, (32, 48))["noise"][1]
    assert half.image_3HW.shape == (3, 32, 48)
    assert half.shares_CHW[1].sum() == pytest.approx(16 * 20)
    (root / "JPEGImages/480p/bear/00003.jpg").unlink()
    with pytest.raises(MagkitError, match="bear/00003 has no real frame"):
        controls(plans(root, bear="3,5"), kinds, CLASSES, (64, 96))


def test_a_smaller_picture_is_the_mean_of_a_larger_one() -> None:
    rng = torch.Generator().manual_seed(0)
    image, shares = (torch.rand(3, 8, 12, generator=rng) for _ in range(2))
    found = Labelled("a", image, shares).resized((4, 6))
    blocks = shares.numpy().reshape(3, 4, 2, 6, 2).mean((2, 4))
    assert np.allclose(found.shares_CHW, blocks)
    assert found.image_3HW.mean().item() == pytest.approx(image.mean().item(), abs=0.02)


class BrightIsBear:
    """A network that sees a bear, and surely, where a picture is bright."""

    classes = CLASSES

    def predict(self, images: torch.Tensor, /) -> list[list[Annotation]]:
        mask = (images[0].mean(0) > 0.5).float()
        return [[Annotation("bear", mask, 0.9), Annotation("dog", 1 - mask, 0.2)]]


def test_photographs_with_an_object_come_first(tmp_path: Path) -> None:
    for number, level in enumerate((0, 0, 200, 0, 220)):
        Image.fromarray(np.full((64, 96, 3), level, np.uint8)).save(tmp_path / f"{number}.png")
    network: Any = type("Loaded", (), {"target": BrightIsBear()})()
    labeller = Labeller(network, CLASSES, False, torch.device("cpu"))
    looked: list[int] = []

    def progress(done: int, total: int | None = None) -> None:
        looked.append(done)

    sizes = (64, 96), (32, 48)
    found = unrelated(tmp_path, 3, sizes, labeller, progress)
    assert looked == [1, 2, 3, 4, 5]
    assert found[0].image_3HW.shape == (3, 32, 48)
    assert [Path(each.name).name for each in found] == ["2.png", "4.png", "0.png"]
    assert [each.shares_CHW[1].mean().item() for each in found] == [1, 1, 0]
    assert all((each.shares_CHW.sum(0) == 1).all() for each in found)
    soft = Labeller(network, CLASSES, True, torch.device("cpu"))
    assert soft(found[0].image_3HW)[1].mean().item() == pytest.approx(0.9)
    assert soft(found[2].image_3HW)[2].mean().item() == pytest.approx(0.2)
    with pytest.raises(MagkitError, match="holds 5 usable photographs, and 6 frames"):
        unrelated(tmp_path, 6, sizes, labeller)
