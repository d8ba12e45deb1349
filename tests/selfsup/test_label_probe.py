"""The label probe, against formulas of its own in NumPy's double precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.selfsup.label_probe import (
    FOLDS,
    LabelledPictures,
    neighbour_votes,
    probe_labels,
    read_labelled,
    ridge_answers,
)

Array = NDArray[Any]


def clouds(seed: int, count: int = 60, size: int = 5) -> tuple[Array, Array, Array]:
    """Features, labels and folds of three overlapping classes of unequal sizes."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, 3, count) * rng.integers(0, 2, count))
    features = rng.normal(size=(count, size)) * [1, 1, 5, 0.1, 2] + labels[:, None] * 0.7 + 1
    features[:, 3] = 2.0  # a dead channel
    folds = np.concatenate([np.arange((labels == k).sum()) % FOLDS for k in np.unique(labels)])
    return features, labels, folds


def votes_of(features: Array, labels: Array, folds: Array) -> Array:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    votes = np.zeros((len(labels), labels.max() + 1))
    for row in range(len(labels)):
        others = np.flatnonzero(folds != folds[row])
        count = min(20, *np.unique(labels[others], return_counts=True)[1])
        cosines = unit[others] @ unit[row]
        for near in np.argsort(-cosines)[:count]:
            votes[row, labels[others[near]]] += 1 + 1e-6 * cosines[near]
    return votes


def answers_of(features: Array, labels: Array, folds: Array) -> Array:
    """Least squares with an intercept and rows for the penalty, in the primal form."""
    answers = np.zeros((len(labels), labels.max() + 1))
    for fold in range(FOLDS):
        fit = folds != fold
        spread = features[fit].std(0)
        x = (features - features[fit].mean(0)) / np.where(spread > 0, spread, np.inf)
        penalty = np.sqrt((x[fit] ** 2).sum(1).mean()) * np.eye(x.shape[1])
        rows = np.block([[x[fit], np.ones((fit.sum(), 1))], [penalty, np.zeros((len(penalty), 1))]])
        targets = np.concatenate(
            [np.eye(answers.shape[1])[labels[fit]], np.zeros((len(penalty), answers.shape[1]))]
        )
        solved = np.linalg.lstsq(rows, targets, rcond=None)[0]
        answers[~fit] = x[~fit] @ solved[:-1] + solved[-1]
    return answers


@pytest.mark.parametrize("seed", range(3))
def test_votes_and_answers(seed: int) -> None:
    given = clouds(seed)
    tensors = [torch.from_numpy(each) for each in given]
    np.testing.assert_allclose(neighbour_votes(*tensors).numpy(), votes_of(*given), atol=1e-12)
    np.testing.assert_allclose(ridge_answers(*tensors).numpy(), answers_of(*given), atol=1e-9)


def test_more_features_than_pictures() -> None:
    rng = np.random.default_rng(1)
    features, labels, folds = rng.normal(size=(24, 90)), np.arange(24) % 2, np.arange(24) // 2 % 4
    found = ridge_answers(*(torch.from_numpy(each) for each in (features, labels, folds)))
    np.testing.assert_allclose(found.numpy(), answers_of(features, labels, folds), atol=1e-9)


def coloured(root: Path, count: int = 9) -> Path:
    """Two classes: pictures that are rather red, and rather blue ones of another shape."""
    rng = np.random.default_rng(0)
    for name, bright, shape in (("blue", 2, (20, 32)), ("red", 0, (40, 24))):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 60, (*shape, 3), dtype=np.uint8)
            pixels[..., bright] += 150
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def colours(frames: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"colour": frames, "none": torch.ones_like(frames)}


def test_pictures_of_two_colours(tmp_path: Path) -> None:
    pictures = read_labelled(coloured(tmp_path), 16)
    assert pictures.frames_NCHW.shape == (18, 3, 16, 16)
    assert pictures.classes == ("blue", "red")
    assert pictures.chance == 0.5
    for label in (0, 1):
        assert pictures.folds_N[pictures.labels_N == label].bincount().tolist() == [3, 2, 2, 2]
    scores = probe_labels(colours, pictures, "cpu")
    assert scores["colour"].as_dict() == {"knn": 1.0, "linear": 1.0}
    assert scores["none"].linear == pictures.chance


def test_no_draws_from_the_global_generator(tmp_path: Path) -> None:
    coloured(tmp_path)
    before = torch.get_rng_state()
    probe_labels(colours, read_labelled(tmp_path, 16), "cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_chance_is_the_share_of_the_largest_class() -> None:
    labels = torch.tensor([0, 1, 1, 1])
    assert LabelledPictures(torch.zeros(4, 3, 8, 8), labels, labels, ("a", "b")).chance == 0.75


def test_many_pictures_are_thinned_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magkit.selfsup.label_probe.MOST_PICTURES", 10)
    coloured(tmp_path)
    some = read_labelled(tmp_path, 16)
    assert some.labels_N.bincount().tolist() == [5, 5]
    for path in sorted((tmp_path / "red").iterdir()):  # other times and another order on the disk
        path.write_bytes(path.read_bytes())
    assert torch.equal(some.frames_NCHW, read_labelled(tmp_path, 16).frames_NCHW)


def test_broken_pictures_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coloured(tmp_path)
    whole = (tmp_path / "red" / "3.png").read_bytes()
    (tmp_path / "red" / "3.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "red" / "4.png").write_bytes(b"")
    assert read_labelled(tmp_path, 16).labels_N.bincount().tolist() == [9, 7]
    assert "left out of the probe" in caplog.text


def test_folders_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="no folder"):
        read_labelled(tmp_path / "none", 16)
    coloured(tmp_path / "one", 4)
    (tmp_path / "one" / "red").rename(tmp_path / "red")
    with pytest.raises(MagkitError, match="holds 1 sub-folders"):
        read_labelled(tmp_path / "one", 16)
    coloured(tmp_path / "few", 3)
    with pytest.raises(MagkitError, match="3 pictures that can be read"):
        read_labelled(tmp_path / "few", 16)
