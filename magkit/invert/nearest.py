"""Whether inverted frames are nearer to pictures that a network was trained on than to others.

Distances are by features of a network that took no part, and by pixels. A picture's features are
the means and standard deviations of the inputs of all BatchNorm layers, in units of what the
network remembers of them: which textures and shapes it holds, but not where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap, mannwhitneyu
from torch import Tensor
from torch.nn import functional as F

from magkit.errors import MagkitError
from magkit.invert.frames_on_disk import concat_padded, read_image, save_image
from magkit.invert.judge import mask_pictures
from magkit.invert.plan import ClipPlan
from magkit.invert.statistics import EPS, record_moments
from magkit.invert.targets.load import LoadedTarget
from magkit.progress import Progress, silent
from magkit.synth.pictures import FilePictures
from magkit.synth.sources import cover

PIXEL_SIZE = (32, 56)  # of the pictures whose pixels are compared
DRAWS = 2_000
SIGNIFICANT = 0.05
SHOWN = 8  # frames of the sheet
Kind = Literal["features", "pixels"]
KINDS: tuple[Kind, ...] = ("features", "pixels")

Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Described:
    """Pictures as vectors, whose Euclidean distances count.

    Attributes:
        names: of the pictures.
        read: gives a picture (3, H, W) in [0, 1] by its number.
        vectors: of each kind, (N, D).
    """

    names: list[str]
    read: Callable[[int], Tensor]
    vectors: dict[Kind, Tensor]

    def distances(self, others: Described, kind: Kind) -> Distances:
        """Return the distance of each of the others (rows) from each of these (columns)."""
        found: Distances = torch.cdist(
            others.vectors[kind].double(), self.vectors[kind].double()
        ).numpy()
        return found


def describe_frames(
    plans: Sequence[ClipPlan], run: Path, judge: LoadedTarget, progress: Progress = silent
) -> Described:
    """Describe the inverted frames of a run."""
    frames = [(plan, frame.stem) for plan in plans for frame in plan.frames]

    def read(index: int) -> Tensor:
        plan, stem = frames[index]
        return read_image(plan.folder(run).frame(stem))

    return _described([f"{plan.name}/{stem}" for plan, stem in frames], read, judge, progress)


def describe_folder(
    folder: Path, size: tuple[int, int], judge: LoadedTarget, progress: Progress = silent
) -> Described:
    """Describe the pictures of a folder, scaled and cropped to a size.

    Raises:
        MagkitError: the folder holds no usable picture.
    """
    source = FilePictures(folder)

    def read(index: int) -> Tensor:
        return cover(source.picture(index).float() / 255, *size)

    names = [source.name(index) for index in range(len(source))]
    return _described(names, read, judge, progress)


def _described(
    names: list[str], read: Callable[[int], Tensor], judge: LoadedTarget, progress: Progress
) -> Described:
    vectors = []
    for index in range(len(names)):
        vectors.append(_vectors(read(index), judge))
        progress(index + 1, len(names))
    return Described(names, read, {kind: torch.stack([v[kind] for v in vectors]) for kind in KINDS})


@torch.no_grad()
def _vectors(image_3HW: Tensor, judge: LoadedTarget) -> dict[Kind, Tensor]:
    whole = [s for s in judge.statistics if s.group == "picture"]
    if not whole:
        raise MagkitError(
            f"'{judge.name}' has no BatchNorm statistics, by which pictures are compared",
            "--verifier names another",
        )
    device = whole[0].mean_C.device
    with record_moments(whole) as seen:
        judge.target.predict(image_3HW[None].to(device))
    parts = []
    for known in whole:
        found, deviation = seen.of[known.name], (known.variance_C + EPS).sqrt()
        means = (found.mean_C - known.mean_C) / deviation
        spreads = (found.variance_C + EPS).sqrt() / deviation - 1
        # Each layer counts the same, however many channels it has.
        parts.append(torch.cat([means, spreads]) / (2 * len(means) * len(whole)) ** 0.5)
    pixels = F.interpolate(image_3HW[None], PIXEL_SIZE, mode="area").flatten()
    return {"features": torch.cat(parts).cpu(), "pixels": pixels / len(pixels) ** 0.5}


def describe_controls(plans: Sequence[ClipPlan], judge: LoadedTarget) -> dict[str, Described]:
    """Describe pictures that show the masks, or nothing, and that no network made."""
    frames = [(plan, index) for plan in plans for index in range(len(plan.frames))]

    def described(name: str) -> Described:
        def read(number: int) -> Tensor:
            plan, index = frames[number]
            return mask_pictures(plan, index)[name]

        return _described([str(n) for n in range(len(frames))], read, judge, silent)

    return {name: described(name) for name in ("flat mask", "noise")}


def compare(
    frames: Described,
    members: Described,
    others: Described | None,
    controls: Mapping[str, Described] | None = None,
) -> dict[str, Any]:
    """Return the nearest pictures of each frame, and whether members are nearer than others.

    Args:
        frames: inverted ones.
        members: pictures that the inverted network was trained on.
        others: pictures like them that it was not trained on; None: the comparison is left out.
        controls: pictures in place of the frames, which know nothing of the network.

    Returns:
        "frames": for each, "features" and "pixels": the nearest member and its distance, and the
        distance of the nearest other one. "auc": of each kind, see `auc`. "controls": the same of
        each control.
    """
    rows: list[dict[str, Any]] = [{"frame": name} for name in frames.names]
    result: dict[str, Any] = {"frames": rows, "members": len(members.names)}
    for kind in KINDS:
        inside = members.distances(frames, kind)
        outside = None if others is None else others.distances(frames, kind)
        for index, row in enumerate(rows):
            best = int(inside[index].argmin())
            row[kind] = {"nearest": members.names[best], "distance": float(inside[index, best])}
            if outside is not None:
                row[kind]["others"] = float(outside[index].min())
    if others is not None:
        result["others"] = len(others.names)
        result["auc"] = _areas(frames, members, others)
        result["controls"] = {
            name: _areas(each, members, others) for name, each in (controls or {}).items()
        }
    return result


def _areas(frames: Described, members: Described, others: Described) -> dict[str, dict[str, float]]:
    return {
        kind: auc(*(each.distances(frames, kind).min(0) for each in (members, others)))
        for kind in KINDS
    }


def auc(members: Distances, others: Distances) -> dict[str, float]:
    """Return the probability that a member's distance is below another's.

    The area under the curve is Mann and Whitney's U over the number of pairs; ties count half.

    Args:
        members: of each member, the distance of its nearest frame.
        others: of each other picture, likewise.

    Returns:
        "value"; "low" and "high", the bounds of a 95 % percentile bootstrap over members and
        others; "p", of the two-sided test that both are distributed alike.
    """

    def area(a: Distances, b: Distances, axis: int = -1) -> Any:
        return mannwhitneyu(b, a, axis=axis).statistic / (a.shape[axis] * b.shape[axis])

    found = {"value": float(area(members, others)), "low": 0.0, "high": 1.0}
    found["p"] = float(mannwhitneyu(members, others).pvalue)
    if min(len(members), len(others)) > 1:
        low, high = bootstrap(
            (members, others),
            area,
            n_resamples=DRAWS,
            method="percentile",
            batch=100,
            rng=np.random.default_rng(0),
        ).confidence_interval
        found |= {"low": float(low), "high": float(high)}
    return found


def verdict(found: Mapping[str, Any]) -> str:
    """Say in words whether the frames give members away."""
    if "auc" not in found:
        return "without --held-out it can't be said whether these are nearer than other pictures"
    return "; ".join(f"by {kind}, {_judged(kind, found)}" for kind in KINDS)


def _judged(kind: Kind, found: Mapping[str, Any]) -> str:
    own, controls = found["auc"][kind], found["controls"].items()
    figure = "area under the curve {value:.2f}, {low:.2f} to {high:.2f}".format(**own)
    if own["p"] > SIGNIFICANT:
        return f"training pictures can't be told from others ({figure})"
    if own["value"] < 0.5:
        return f"training pictures are farther than others ({figure})"
    alike = [name for name, each in controls if each[kind]["value"] >= own["low"]]
    if alike:
        names = " and ".join(alike)
        return f"training pictures are nearer than others, but so they are to {names} ({figure})"
    return f"training pictures are nearer than others ({figure})"


def write_sheet(path: Path, frames: Described, members: Described) -> None:
    """Write a picture: frames, and below each its nearest members by features and by pixels."""
    nearest = [members.distances(frames, kind).argmin(1) for kind in KINDS]
    step = -(-len(frames.names) // SHOWN)
    columns = [
        concat_padded([frames.read(n), *(members.read(int(found[n])) for found in nearest)], 1)
        for n in range(0, len(frames.names), step)
    ]
    sheet = concat_padded(columns, 2)
    save_image(path, F.interpolate(sheet[None], scale_factor=0.5, mode="area")[0])
