"""Names of classes, and what DAVIS' videos show."""

from pathlib import Path

import pytest

from magkit.errors import UsageError
from magkit.invert import ANY, CLASSES, class_indices, class_of_video

COCO = ("background", "person", "N/A", "bear")


def test_numbers_of_classes() -> None:
    assert class_indices(["bear", "person", ANY, "bear"], COCO) == [3, 1, -1, 3]
    assert class_indices([], COCO) == []


@pytest.mark.parametrize("label", ["beer", "N/A", "background", "", "BEAR"])
def test_a_class_that_can_not_be_asked_for(label: str) -> None:
    with pytest.raises(UsageError, match=f"the target knows no class '{label}'") as refused:
        class_indices(["bear", label], COCO)
    assert "known: person, bear" in refused.value.hint
    assert "'any' leaves the choice to the target" in refused.value.hint


def test_the_likeliest_class_is_named() -> None:
    with pytest.raises(UsageError) as refused:
        class_indices(["beer"], COCO)
    assert refused.value.hint.startswith("did you mean 'bear'?")


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("bear", "bear"),
        ("blackswan", "bird"),
        ("bmx-trees", "bicycle"),
        ("camel", "horse"),
        ("cows", "cow"),
        ("dog", "dog"),
        ("drift-turn", "car"),
        ("soapbox", "person"),
        ("two-dogs", None),
        ("", None),
    ],
)
def test_what_a_video_shows(video: str, name: str | None) -> None:
    assert class_of_video(video) == name


def test_every_video_of_davis_shows_a_class_of_coco(data_root: Path) -> None:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    masks = sorted(data_root.glob("**/Annotations/480p"))
    if not masks:
        pytest.skip("no DAVIS among the real data")
    known = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    videos = [path.name for path in masks[0].iterdir() if path.is_dir()]
    assert {class_of_video(video) for video in videos} <= set(known)


def test_what_ships_knows_classes_of_coco() -> None:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    known = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    assert set(CLASSES) <= set(known)
    assert len(set(CLASSES)) == len(CLASSES)
