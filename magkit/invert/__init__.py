"""Model inversion: images and videos optimised until a trained network detects what is asked."""

from __future__ import annotations

from collections.abc import Sequence

from magkit.errors import UsageError, did_you_mean

DEFAULT_TARGET = "maskrcnn-small"
"""The network that is inverted by default."""

DEFAULT_VERIFIER = "segmenter"
"""The network that judges the result by default."""

ANY = "any"
"""In place of a class: whichever one a target takes the object for."""

CLASSES = ("bear", "bird", "dog", "horse", "car", "cow", "bicycle")
"""Of `maskrcnn-small` and `segmenter`; spelt as COCO spells them."""

_VIDEOS = {
    "bear": "bear",
    "bicycle": "bmx-bumps bmx-trees",
    "bird": "blackswan flamingo mallard-fly mallard-water",
    "boat": "boat",
    "bus": "bus",
    "car": "car-roundabout car-shadow car-turn drift-chicane drift-straight drift-turn rallye",
    "cow": "cows",
    "dog": "dog dog-agility libby",
    "elephant": "elephant",
    "horse": "camel dressage-jump horsejump-high horsejump-low",
    "motorcycle": "motocross-bumps motocross-jump motorbike scooter-black scooter-gray",
    "person": "breakdance breakdance-flare dance-jump dance-twirl hike hockey kite-surf kite-walk"
    " lucia paragliding paragliding-launch parkour rollerblade soapbox stroller surf swing tennis",
    "sheep": "goat",
    "train": "train",
}
_CLASS_OF = {video: name for name, videos in _VIDEOS.items() for video in videos.split()}
"""DAVIS 2016's fifty videos by the nearest of COCO's classes: a camel is a horse, a goat a sheep.

A rider belongs to what is ridden, as in DAVIS 2016's masks.
"""


def class_of_video(video: str) -> str | None:
    """Return the class of what a DAVIS 2016 video shows; None for other videos."""
    return _CLASS_OF.get(video)


def class_indices(labels: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the number of each label among the names of a network's classes; -1 for "any".

    Raises:
        UsageError: the network knows no such class.
    """
    numbers = {name: number for number, name in enumerate(names) if number and name != "N/A"}
    for label in labels:
        if label != ANY and label not in numbers:
            raise UsageError(
                f"the target knows no class '{label}'",
                f"{did_you_mean(label, numbers)}; 'any' leaves the choice to the target",
            )
    return [numbers.get(label, -1) for label in labels]
