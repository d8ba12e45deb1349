"""Protocols of the evaluation of magnifiers, and reports of their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from magkit.evaluate import cases, clips, coded, fields, magnifier, moving
from magkit.evaluate.cases import Case
from magkit.evaluate.magnifier import Score
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.synth.render import Sources
from magkit.video.charts import Curve, Panel, save_plot

NEAR = 0.1  # distance to 1 of gains that count as near
MEASURES = ("gain", "ssim", "region_ssim")
INPUT = "input"  # the unmagnified frame, the baseline in every score
AXIS_LABELS = {
    "displacement": "displacement, pixels",
    "factor": "factor",
    "photon_noise": "photon noise: variance over grey level",
}

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Extra:
    """A figure that a protocol has beside gain and similarity.

    Attributes:
        name: in `Score.more`, in summaries and in JSON.
        title: of its column.
        over: summarises the values of several scores.
    """

    name: str
    title: str
    over: Callable[[Sequence[float]], float] = median


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How scenes are measured.

    Attributes:
        noise: standard deviation of Gaussian noise on the input; 1 is white.
        seed: of that noise.
        device: where frames are rendered and magnified.
    """

    noise: float = 0.0
    seed: int = 0
    device: torch.device | str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Scenes and axes of an evaluation of magnifiers.

    Attributes:
        cases: yields scenes, from sources, the number of repeats, and a seed.
        scores: yields the score of each scene, of a magnifier on the setting's device.
        axes: fields of a score by which results are grouped; plots are drawn over the first.
        repeats: default number of scenes of each kind.
        noise: default standard deviation of noise on the input.
        extras: further figures of a score.
    """

    cases: Callable[[Sources, int, int], Iterator[Any]]
    scores: Callable[[Magnifier, Iterable[Any], Sources, Setting], Iterable[Score]]
    axes: Sequence[str]
    repeats: int = 5
    noise: float = 0.0
    extras: Sequence[Extra] = ()

    def report(
        self,
        model: Magnifier,
        judged: Sequence[Any],
        sources: Sources,
        setting: Setting,
        progress: Progress = silent,
    ) -> dict[str, Any]:
        """Return a report of all scores (`summarize_by`), with those of still clips as "still".

        Args:
            model: the magnifier.
            judged: scenes of `cases`.
            sources: of the scenes.
            setting: of the measurement.
            progress: called with the scenes done.

        Raises:
            MagkitError: the magnifier's stride doesn't divide the side of the frames.
        """
        records = []
        for score in self.scores(model, judged, sources, setting):
            records.append(score.as_dict())
            progress(len(records), len(judged))
        still = clips.measure_still(model, sources, seed=setting.seed, device=setting.device)
        return {**summarize_by(records, self.axes, self.extras), "still": still.as_dict()}


def _predictor(model: Magnifier, setting: Setting) -> magnifier.Predict:
    predict = magnifier.predictor(model)
    return magnifier.with_noise(predict, setting.noise, setting.seed) if setting.noise else predict


def _pairs(
    model: Magnifier, judged: Iterable[Case], sources: Sources, setting: Setting
) -> Iterable[Score]:
    return magnifier.evaluate(_predictor(model, setting), judged, sources, setting.device)


def _sinusoids(
    model: Magnifier, judged: Iterable[Case], sources: Sources, setting: Setting
) -> Iterable[Score]:
    return clips.evaluate_clips(
        model,
        judged,
        sources,
        noise=setting.noise,
        seed=setting.seed,
        device=setting.device,
    )


def _fields(
    model: Magnifier, judged: Iterable[fields.FieldCase], sources: Sources, setting: Setting
) -> Iterable[Score]:
    return fields.evaluate_fields(_predictor(model, setting), judged, sources, setting.device)


def _coded(
    model: Magnifier, judged: Iterable[coded.CodedCase], sources: Sources, setting: Setting
) -> Iterable[Score]:
    return coded.evaluate_coded(model, judged, sources, noise=setting.noise, device=setting.device)


def _moving(
    model: Magnifier, judged: Iterable[moving.MovingCase], sources: Sources, setting: Setting
) -> Iterable[Score]:
    return moving.evaluate_moving(
        model, judged, sources, noise=setting.noise, device=setting.device
    )


PROTOCOLS = {
    "gain": Protocol(cases=cases.cases, scores=_pairs, axes=("displacement", "factor")),
    "subpixel": Protocol(cases=cases.subpixel_cases, scores=_pairs, axes=("displacement",)),
    "noise": Protocol(cases=cases.noise_cases, scores=_pairs, axes=("photon_noise",)),
    "sinusoid": Protocol(
        cases=cases.sinusoid_cases, scores=_sinusoids, axes=("factor",), repeats=10
    ),
    "fields": Protocol(
        cases=fields.field_cases, scores=_fields, axes=("displacement", "kind"), repeats=3
    ),
    "coded": Protocol(
        cases=coded.coded_cases,
        scores=_coded,
        axes=("displacement", "coding", "cell"),
        repeats=2,
        noise=coded.NOISE,
        extras=(
            Extra("left", "left"),
            Extra("of_left", "gain\n/left"),
            Extra("trembling", "trembling"),
        ),
    ),
    "moving": Protocol(
        cases=moving.moving_cases,
        scores=_moving,
        axes=("displacement", "travel"),
        repeats=3,
        extras=(
            Extra("path_error", "path", max),
            Extra("acceleration_gain", "accel.\ngain"),
            Extra("acceleration_region_ssim", "accel.\nregion", fmean),
            Extra("acceleration_path_error", "accel.\npath", max),
        ),
    ),
}


def summarize(records: Sequence[Record], extras: Sequence[Extra] = ()) -> dict[str, float]:
    """Summarise scores.

    Args:
        records: the scores' fields by name (`Score.as_dict`), at least one.
        extras: further figures of the records.

    Returns:
        cases: their number; gain: the median; near: the share of gains within a tenth of 1;
        ssim, region_ssim, input_ssim, input_region_ssim: means, and their medians as `median_*`;
        the extras by their names.
    """
    gains = [record["gain"] for record in records]
    rows = {"cases": float(len(records)), "gain": median(gains)}
    rows["near"] = fmean(abs(gain - 1) <= NEAR for gain in gains)
    names = ("ssim", "region_ssim", "input_ssim", "input_region_ssim")
    columns = {name: [record[name] for record in records] for name in names}
    means = {name: fmean(values) for name, values in columns.items()}
    medians = {f"median_{name}": median(values) for name, values in columns.items()}
    more = {extra.name: extra.over([record[extra.name] for record in records]) for extra in extras}
    return {**rows, **means, **medians, **more}


def summarize_by(
    records: Iterable[Record],
    axes: Sequence[str] = ("displacement", "factor"),
    extras: Sequence[Extra] = (),
) -> dict[str, Any]:
    """Summarise all scores, and groups of scores by the values of fields.

    Args:
        records: the scores' fields by name, at least one score.
        axes: the fields.
        extras: further figures of the scores.

    Returns:
        all: a summary; by axis: lists of summaries, each with its value, in ascending order;
        cases: the records.
    """
    scores = [dict(record) for record in records]
    return {
        "all": summarize(scores, extras),
        **{key: _by(key, scores, extras) for key in axes},
        "cases": scores,
    }


def _by(key: str, scores: Sequence[Record], extras: Sequence[Extra]) -> list[dict[str, Any]]:
    return [
        {key: value, **summarize([score for score in scores if score[key] == value], extras)}
        for value in sorted({score[key] for score in scores})
    ]


def cells_not_ahead(
    judged: Mapping[str, Any], others: Sequence[Mapping[str, Any]], axes: Sequence[str]
) -> list[dict[str, Any]]:
    """List the cells of a report in which a magnifier is not better than another or the input.

    Better is a gain nearer to 1, or a larger similarity; a tie is not.

    Args:
        judged: a report (`summarize_by`).
        others: reports of the same scenes, each with its name as "name".
        axes: of the reports.

    Returns:
        by: "all" or an axis; value: of that axis, None for all; measure; than: a name, or "input";
        judged, other: the two values.
    """
    return [
        {"by": by, "value": row.get(by), **cell}
        for by, row, rivals in _rows(judged, others, axes)
        for cell in _cells(row, rivals)
    ]


def _rows(
    judged: Mapping[str, Any], others: Sequence[Mapping[str, Any]], axes: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, float], dict[str, Mapping[str, float]]]]:
    yield "all", judged["all"], {str(other["name"]): other["all"] for other in others}
    for axis in axes:
        for index, row in enumerate(judged[axis]):
            yield axis, row, {str(other["name"]): other[axis][index] for other in others}


def _cells(
    row: Mapping[str, float], rivals: Mapping[str, Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    for measure in MEASURES:
        reached = {name: rival[measure] for name, rival in rivals.items()}
        if measure != "gain":
            reached[INPUT] = row[f"input_{measure}"]
        for name, other in reached.items():
            if not _quality(measure, row[measure]) > _quality(measure, other):
                cell = {"measure": measure, "than": name}
                yield {**cell, "judged": row[measure], "other": other}


def _quality(measure: str, value: float) -> float:
    return -abs(value - 1) if measure == "gain" else value


def plot_report(
    path: Path, reports: Sequence[Mapping[str, Any]], axis: str, *, overwrite: bool
) -> None:
    """Plot gain and the moving region's SSIM over an axis, and those of the input, dashed.

    Args:
        path: a .png or .svg file, written whole or not at all.
        reports: reports (`summarize_by`) of the same scenes, each with its name as "name".
        axis: the field of the scores over which the curves run, logarithmically.
        overwrite: whether an existing file is replaced.

    Raises:
        UsageError, MagkitError: as `charts.check_plot`, or the file exists or can't be written.
    """

    def curve(report: Mapping[str, Any], field: str, name: str = "") -> Curve:
        xs, ys = ([row[key] for row in report[axis]] for key in (axis, field))
        return Curve(name or str(report["name"]), xs, ys, baseline=bool(name))

    gains = [curve(report, "gain") for report in reports]
    similarities = [curve(report, "region_ssim") for report in reports]
    similarities.append(curve(reports[0], "input_region_ssim", INPUT))
    panels = [
        Panel("gain: achieved over asked, median", gains, level=1),
        Panel("mean SSIM of the moving region", similarities, legend=True),
    ]
    save_plot(path, panels, AXIS_LABELS[axis], overwrite=overwrite)
