"""The nearest training pictures: areas under curves against counting, distances, verdicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert.nearest import Described, auc, compare, describe_folder, verdict, write_sheet
from magkit.invert.statistics import bn_statistics
from magkit.invert.targets.load import LoadedTarget


def test_the_area_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 9, 40).astype(float), rng.integers(2, 12, 30).astype(float)
    pairs = [(a < b) + 0.5 * (a == b) for a in members for b in others]
    found = auc(members, others)
    value, low, high = (found[name] for name in ("value", "low", "high"))
    assert value == pytest.approx(np.mean(pairs))
    assert 0.5 < low < value < high < 1
    assert found["p"] < 0.01
    # The standard error of Hanley & McNeil, Radiology 1982.
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + 39 * (q1 - value**2) + 29 * (q2 - value**2)
    error = np.sqrt(spread / (40 * 30))
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_a_few_pictures_prove_nothing() -> None:
    near, far = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])
    found = auc(near, far)
    assert found["value"] == 1
    assert found["p"] == pytest.approx(0.2), "two of ten orders are as extreme"
    one = auc(near, far[:1])
    assert (one["value"], one["low"], one["high"]) == (1, 0, 1)


def described(vectors: dict[str, float]) -> Described:
    stacked = torch.tensor(list(vectors.values()))[:, None]
    return Described(
        list(vectors),
        lambda index: torch.full((3, 8, 8), index / 10),
        {"features": stacked, "pixels": -2 * stacked},
    )


def test_the_nearest_are_named(tmp_path: Path) -> None:
    frames = described({"f/0": 1.0, "f/1": 5.0})
    members = described({"m0": 4.0, "m1": 1.5, "m2": 9.0})
    others = described({"o0": 7.0, "o1": 8.0})
    found = compare(frames, members, others)
    first, second = found["frames"]
    assert first["features"] == {"nearest": "m1", "distance": 0.5, "others": 6.0}
    assert second["features"] == {"nearest": "m0", "distance": 1.0, "others": 2.0}
    assert second["pixels"] == {"nearest": "m0", "distance": 2.0, "others": 4.0}
    # Members are 1, .5 and 4 from their nearest frames, others 2 and 3.
    assert found["auc"]["features"]["value"] == pytest.approx(4 / 6)
    assert (found["members"], found["others"]) == (3, 2)
    alone = compare(frames, members, None)
    assert "auc" not in alone
    assert "others" not in alone["frames"][0]["features"]
    write_sheet(tmp_path / "sheet.png", frames, members)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (12, 8, 3)
    assert np.unique(sheet[4:8, :4]).tolist() == [26], "m1 below the first frame"


def test_verdicts_say_what_the_figures_hold() -> None:
    near = {"value": 0.8, "low": 0.7, "high": 0.9, "p": 0.001}
    unclear = {"value": 0.55, "low": 0.4, "high": 0.7, "p": 0.6}
    far = {"value": 0.2, "low": 0.1, "high": 0.4, "p": 0.001}
    found: dict[str, Any] = {
        "auc": {"features": near, "pixels": unclear},
        "controls": {"noise": {"features": unclear, "pixels": unclear}},
    }
    text = verdict(found)
    assert (
        "by features, training pictures are nearer than others (area under the curve 0.80" in text
    )
    assert "by pixels, training pictures can't be told from others" in text
    found["auc"]["pixels"] = far
    assert "by pixels, training pictures are farther than others" in verdict(found)
    found["controls"]["flat mask"] = {"features": {**near, "value": 0.75}, "pixels": unclear}
    assert "nearer than others, but so they are to flat mask (area" in verdict(found)
    assert "can't be said" in verdict({})


def test_pictures_of_several_sizes_are_compared(tmp_path: Path) -> None:
    network = Layer()
    judge = LoadedTarget("layer", network, 1.0, bn_statistics(network.model))  # type: ignore[arg-type]
    for number, size in enumerate(((64, 96), (96, 64))):
        Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(tmp_path / f"{number}.png")
    found = [describe_folder(tmp_path, size, judge) for size in ((64, 96), (64, 128))]
    assert found[0].distances(found[1], "pixels").max() < 1e-6
    write_sheet(tmp_path / "sheet.png", *found)


class Layer:
    """A network of one BatchNorm layer."""

    def __init__(self) -> None:
        self.model = torch.nn.BatchNorm2d(3).eval()
        self.model.running_mean = torch.tensor([0.1, 0.2, 0.3])
        self.model.running_var = torch.tensor([0.04, 0.09, 0.16])

    def predict(self, images: torch.Tensor, /) -> list[list[Any]]:
        self.model(images)
        return [[]]


def test_features_are_moments_in_units_of_deviations(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 112, 3), np.uint8)
    blocks = (pixels / 255).reshape(32, 2, 56, 2, 3).mean((1, 3)).transpose(2, 0, 1).ravel()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    network = Layer()
    judge = LoadedTarget("layer", network, 1.0, bn_statistics(network.model))  # type: ignore[arg-type]
    found = describe_folder(tmp_path, (64, 112), judge)
    x = pixels.reshape(-1, 3) / 255
    deviation = np.sqrt(np.array([0.04, 0.09, 0.16]) + 1e-5)
    means = (x.mean(0) - [0.1, 0.2, 0.3]) / deviation
    spreads = np.sqrt(x.var(0) + 1e-5) / deviation - 1
    truth = np.concatenate([means, spreads]) / np.sqrt(6)
    assert found.vectors["features"][0].numpy() == pytest.approx(truth, rel=1e-4)
    assert found.vectors["pixels"][0].numpy() == pytest.approx(blocks / np.sqrt(5376), rel=1e-4)
    blind = LoadedTarget("blind", network, 1.0, [])  # type: ignore[arg-type]
    with pytest.raises(MagkitError, match="'blind' has no BatchNorm statistics"):
        describe_folder(tmp_path, (64, 96), blind)
