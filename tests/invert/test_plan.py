"""What is to be made of a clip: frames, segments, masks at the size that is made, classes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert.davis import open_masks, open_video_masks
from magkit.invert.plan import WIDTH_MULTIPLE, ClipPlan, output_size, plan_clip
from magkit.invert.settings import InvertSettings, make_settings

OWN = make_settings("thesis", {"start": "before", "keyframe": 3})  # of the masks' own size


def labels(*edges: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Labels of 60 x 40 pixels: rectangles 1, 2, ... by left, top, right and bottom."""
    made = np.zeros((40, 60), np.uint8)
    for number, (left, top, right, bottom) in enumerate(edges, 1):
        made[top:bottom, left:right] = number
    return made


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes masks as the frames of a clip `hens`."""

    def write(*frames: NDArray[np.uint8]) -> Path:
        folder = tmp_path / "hens"
        folder.mkdir()
        for number, frame in enumerate(frames):
            picture = Image.fromarray(frame).convert("P")
            picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
            picture.save(folder / f"{number:05d}.png")
        return folder

    return write


def planned(
    folder: Path,
    frames: str = "all",
    classes: tuple[str, ...] = (),
    settings: InvertSettings = OWN,
    own: Any = None,
) -> ClipPlan:
    return plan_clip(open_masks(folder), frames, classes, settings, own or {})


ONE, TWO = (5, 4, 25, 30), (30, 10, 50, 36)


def test_a_clip_of_davis(davis: Path) -> None:
    found = plan_clip(open_video_masks(davis, "bear"), "0,2", [], OWN, {})
    assert [frame.stem for frame in found.frames] == ["00000", "00002"]
    assert (found.name, found.clip, found.masks_folder) == ("bear", "bear", None)
    assert (found.objects, found.classes) == ((1,), ("bear",))
    assert found.source == found.size == (16, 24)
    for place, number in enumerate((0, 2)):
        expected = torch.zeros(1, 16, 24, dtype=torch.bool)
        expected[0, 4:12, number : number + 8] = True
        assert torch.equal(found.masks(place), expected)


def test_objects_of_all_frames(clip: Callable[..., Path]) -> None:
    found = planned(clip(labels(ONE), labels(ONE, TWO), labels((0, 0, 0, 0), TWO)))
    assert found.objects == (1, 2)
    assert found.classes == ("any", "any")
    assert found.masks(0).any((1, 2)).tolist() == [True, False]
    assert found.masks(1).any((1, 2)).tolist() == [True, True]
    assert [a.label for a in found.annotations(0)] == ["any"]
    (second,) = found.annotations(2)
    assert second.mask_HW is not None
    assert torch.equal(second.mask_HW, torch.from_numpy(labels(TWO)).float())


def test_classes_of_objects(clip: Callable[..., Path]) -> None:
    folder = clip(labels(ONE, TWO))
    assert planned(folder, classes=("dog",)).classes == ("dog", "dog")
    found = planned(folder, classes=("dog", "bear"))
    assert [a.label for a in found.annotations(0)] == ["dog", "bear"]
    for classes in (("dog", "bear", "cow"), ("a",) * 5):
        with pytest.raises(
            UsageError, match=f"'hens' shows 2 objects, and {len(classes)} classes"
        ) as refused:
            planned(folder, classes=classes)
        assert "--class" in refused.value.hint


def test_the_background_is_asked_for_too(clip: Callable[..., Path]) -> None:
    folder = clip(labels(ONE, TWO), labels())
    settings = make_settings("thesis", {"background": True})
    found = planned(folder, settings=settings)
    *objects, around = found.annotations(0)
    assert len(objects) == 2
    assert around.label == "any"
    assert around.mask_HW is not None
    assert torch.equal(around.mask_HW, torch.from_numpy(labels(ONE, TWO) == 0).float())
    assert found.annotations(1) == []  # nothing is seen there


def test_masks_at_the_size_that_is_made(clip: Callable[..., Path]) -> None:
    """A pixel is an object's where half of it is."""
    edges = (3, 2, 26, 31)
    found = planned(clip(labels(edges)), settings=make_settings("thesis", {"size": 120}))
    assert found.size == (120, 192)
    folder = found.frames[0].mask.parent
    small = planned(folder, settings=make_settings("thesis", {"size": 32}))
    assert small.size == (32, 64)
    for plan in (found, small):
        height, width = plan.size
        (mask,) = plan.masks(0)
        share = mask.float().mean().item()
        assert share == pytest.approx(23 * 29 / 2400, rel=0.1)
        rows, columns = mask.nonzero().double().add(0.5).mean(0).tolist()
        assert rows * 40 / height == pytest.approx(16.5, abs=0.5)
        assert columns * 60 / width == pytest.approx(14.5, abs=0.5)


@pytest.mark.parametrize(
    ("edges", "seen"),
    [((5, 5, 6, 30), False), ((5, 5, 30, 6), False), ((5, 5, 6, 6), False), ((5, 5, 7, 7), True)],
)
def test_what_is_too_thin_is_not_seen(
    clip: Callable[..., Path], edges: tuple[int, int, int, int], seen: bool
) -> None:
    found = planned(clip(labels(ONE, (30, 5, 31, 6)), labels(edges, TWO)))
    assert found.masks(0).any((1, 2)).tolist() == [True, False]
    assert found.masks(1).any((1, 2)).tolist() == [seen, True]
    assert len(found.annotations(1)) == 1 + seen


def test_an_object_that_is_too_small_at_the_size_that_is_made(clip: Callable[..., Path]) -> None:
    large = np.zeros((80, 120), np.uint8)
    large[10:40, 10:40], large[60:62, 100:102] = 1, 2
    found = planned(clip(large), settings=make_settings("thesis", {"size": 32}))
    assert planned(found.frames[0].mask.parent).masks(0).any((1, 2)).tolist() == [True, True]
    assert found.masks(0).any((1, 2)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("source", "height", "expected"),
    [
        ((480, 854), 0, (480, 854)),
        ((480, 854), 256, (256, 448)),
        ((480, 854), 480, (480, 864)),
        ((1080, 1920), 256, (256, 448)),
        ((400, 10), 64, (64, 32)),
        ((480, 480), 64, (64, 64)),
    ],
)
def test_the_size_of_what_is_made(
    source: tuple[int, int], height: int, expected: tuple[int, int]
) -> None:
    assert output_size(source, height) == expected


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 1200))
def test_any_size(height: int, width: int, wanted: int) -> None:
    found = output_size((height, width), wanted)
    assert found[0] == wanted
    assert found[1] % WIDTH_MULTIPLE == 0
    assert (
        found[1] == WIDTH_MULTIPLE or abs(found[1] - width / height * wanted) <= WIDTH_MULTIPLE / 2
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"start": "before", "keyframe": 3}, [(0, 3), (3, 6), (6, 7)]),
        ({"start": "before", "keyframe": 12}, [(0, 7)]),
        ({"start": "before", "keyframe": 1}, [(n, n + 1) for n in range(7)]),
        ({"start": "noise", "keyframe": 3, "batch": 1}, [(n, n + 1) for n in range(7)]),
        ({"start": "noise", "keyframe": 3, "batch": 4}, [(0, 4), (4, 7)]),
    ],
)
def test_segments(
    clip: Callable[..., Path], settings: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    found = planned(clip(*[labels(ONE)] * 7), settings=make_settings("thesis", settings))
    assert found.segments() == [range(first, last) for first, last in expected]


def test_settings_of_single_frames(clip: Callable[..., Path]) -> None:
    own = {"1-2": {"bn": 0.5, "lr": 0.3}, "2": {"bn": 0.7}, "0": {"bn": 9}}
    found = planned(clip(*[labels(ONE)] * 4), "1-3", own=own)
    assert [f.number for f in found.frames] == [1, 2, 3]
    values = [(s.bn, s.lr) for s in map(found.settings_of, range(3))]
    assert values == [(0.5, 0.3), (0.7, 0.3), (OWN.bn, OWN.lr)]
    assert found.settings_of(2) is found.settings


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"0": {"bnn": 1}}, "is named 'bnn'"),
        ({"0": {"bn": -1}}, "must not be negative"),
        ({"0": {"bn": "much"}}, "must be a number"),
        ({"0-9": {"bn": 1}}, "'hens' has 2"),
        ({"zero": {"bn": 1}}, "is no choice of frames"),
    ],
)
def test_tables_of_frames_that_are_wrong(
    clip: Callable[..., Path], own: Any, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        planned(clip(labels(ONE), labels(ONE)), own=own)


def test_frames_that_are_not_there(clip: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="frame 1 is asked for, and 'hens' has 1"):
        planned(clip(labels(ONE)), "1")


def test_no_object(clip: Callable[..., Path]) -> None:
    folder = clip(labels(), labels(ONE), labels())
    with pytest.raises(MagkitError, match="no mask of 'hens' shows an object"):
        planned(folder, "0,2")
    with pytest.raises(MagkitError, match="the first frame's mask, is empty") as refused:
        planned(folder)
    assert "--frames" in refused.value.hint
    assert planned(folder, "1-2").annotations(1) == []


def test_masks_of_two_sizes(clip: Callable[..., Path]) -> None:
    folder = clip(labels(ONE), np.pad(labels(ONE), ((0, 1), (0, 0))))
    assert planned(folder, "0").masks(0).any()
    with pytest.raises(
        MagkitError, match=r"00001\.png is 60x41, but the masks before it are 60x40"
    ):
        planned(folder)


def test_a_damaged_mask(clip: Callable[..., Path]) -> None:
    folder = clip(labels(ONE), labels(ONE))
    (folder / "00001.png").write_bytes(b"")
    with pytest.raises(MagkitError, match=r"00001\.png"):
        planned(folder)


def test_what_determines_the_frames(clip: Callable[..., Path]) -> None:
    folder = clip(*[labels(ONE, TWO)] * 3)
    found = planned(folder, "0-1", ("dog", "cow"), own={"1": {"bn": 3}})
    told = found.to_dict()
    assert json.loads(json.dumps(told)) | {"settings": 0} == {
        "clip": "hens",
        "masks": None,
        "source": [40, 60],
        "frames": ["00000", "00001"],
        "objects": {"1": "dog", "2": "cow"},
        "size": [40, 60],
        "settings": 0,
        "own": {"1": {"bn": 3}},
    }
    for other in (
        planned(folder, "0-2", ("dog", "cow"), own={"1": {"bn": 3}}),
        planned(folder, "0-1", ("cow", "dog"), own={"1": {"bn": 3}}),
        planned(folder, "0-1", ("dog", "cow")),
        planned(folder, "0-1", ("dog", "cow"), make_settings("thesis"), {"1": {"bn": 3}}),
    ):
        assert other.to_dict() != told


def test_a_plan_of_another_name_and_settings(clip: Callable[..., Path]) -> None:
    plan = planned(clip(labels(ONE)), own={"0": {"lr": 0.5}})
    found = plan.variant("bn=1/hens", make_settings("thesis", {"bn": 1, "size": 64}))
    assert (found.name, found.clip, found.size) == ("bn=1/hens", "hens", (64, 96))
    assert (found.settings_of(0).bn, found.settings_of(0).lr) == (1, 0.5)
    assert found.frames == plan.frames
