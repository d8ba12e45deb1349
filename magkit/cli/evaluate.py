"""`magkit evaluate`: measurements of magnifiers, clips, encoders and inversions."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from magkit.cli.command import add, group
from magkit.cli.controls import Bands, FromFrame
from magkit.cli.evaluate_inversion import inversion
from magkit.cli.evaluate_student import student
from magkit.cli.options import (
    Device,
    Images,
    MagnifierName,
    ObjectImages,
    Objects,
    Opt,
    OutputPath,
    Overwrite,
    OwnBackbone,
    Probe,
    Procedural,
    Seed,
    Threads,
    WeightsFile,
)
from magkit.cli.output import Output
from magkit.cli.parameters import parse_rectangle
from magkit.cli.tables import (
    comparison_table,
    fitness_table,
    score_table,
    still_line,
    vibration_table,
    whole_table,
)
from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress

T = TypeVar("T")

evaluate = group("Evaluate magnifiers, encoders and inversions.")


def magnifier(
    out: Output,
    *,
    magnifier: MagnifierName = "magnet-fast",
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Its weights; those that ship if unset.")
    ] = None,
    opt: Opt = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHTS]",
            help="Another magnifier on the same scenes: linear, phase, ...; may be given again.",
        ),
    ] = None,
    protocol: Annotated[
        Literal["gain", "subpixel", "noise", "sinusoid", "fields", "coded", "moving"],
        typer.Option(help="Evaluation protocol, as docs/evaluation.md describes it."),
    ] = "gain",
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Scenes of each kind; the protocol's own number if unset.",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Standard deviation of noise on the input, 1 is white; 0 if unset, .008 of coded.",
        ),
    ] = None,
    output: OutputPath = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|svg", help="Plot gain and SSIM of all magnifiers."),
    ] = None,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Magnify scenes whose magnified frame is known exactly, and compare.

    Objects move by 0.05 to 1 pixel and are magnified 5 to 50 times, by up to 12 pixels. Gain is
    the factor that was achieved over the one asked for; SSIM is that to the exact frame, over the
    frame and in the moving region, and that of doing nothing beside it. Other protocols are those
    of the literature.
    """
    _check_new(output, overwrite)
    if plot is not None:
        from magkit.video.charts import check_plot

        _check_new(plot, overwrite)
        check_plot(plot)

    from magkit.evaluate.protocols import PROTOCOLS, Setting, cells_not_ahead
    from magkit.magnify.load import load_magnifier
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.synth.build import build_sources

    set_threads(threads)
    where = resolve_device(device)
    chosen = PROTOCOLS[protocol]
    models = {magnifier: load_magnifier(magnifier, weights, opt or (), where)}
    for other in against or ():
        name, _, file = other.partition("=")
        label = _new_label(other, models)
        models[label] = load_magnifier(name, file or None, (), where)
    sources = build_sources(images or (), objects, object_images, procedural)
    judged = list(chosen.cases(sources, repeats or chosen.repeats, seed))
    sigma = chosen.noise if noise is None else noise
    setting = Setting(noise=sigma, seed=seed, device=where)

    reports = []
    for name, model in models.items():
        with out.progress(f"measuring {name}", "scenes") as progress:
            found = chosen.report(model, judged, sources, setting, progress)
        reports.append({"name": name, **found})
    first, *others = reports
    result = {
        "magnifier": magnifier,
        "weights": weights,
        "seed": seed,
        "noise": sigma,
        "protocol": protocol,
        **first,
        "against": others,
        "behind": cells_not_ahead(first, others, chosen.axes),
    }
    columns = {extra.name: extra.title for extra in chosen.extras}
    if others:
        out.show(comparison_table(reports, chosen.axes, result["behind"], columns))
    else:
        out.show(score_table(result, chosen.axes, columns))
    for report in reports:
        out.show(still_line(report["name"], report["still"]))
    if output is not None:
        _write(output, result, overwrite)
    if plot is not None:
        from magkit.evaluate.protocols import plot_report

        plot_report(plot, reports, chosen.axes[0], overwrite=overwrite)
    out.finish(result, wrote=[path for path in (output, plot) if path])


def clip(
    out: Output,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A clip.")],
    *,
    factor: Annotated[float, typer.Option("--factor", "-f", help="Magnification factor.")] = 10.0,
    mode: FromFrame = "static",
    band: Bands = None,
    capture_fps: Annotated[
        float | None, typer.Option(help="Frame rate at which the scene was captured.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Region to measure, in pixels; where most changes if unset."
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Measure whole frames instead: texture, and folds of motion."),
    ] = False,
    magnifier: MagnifierName = "magnet-fast",
    weights: WeightsFile = None,
    opt: Opt = None,
    output: OutputPath = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Magnify a real clip and measure the vibration in it, before and after.

    A part of the first frame is found again in every frame, by least squares and without any
    network. The frequency should stay the same, and the amplitude grow by the factor.

    With --whole no vibration is needed. The texture ratio of a frame is the mean absolute second
    difference of its brightness over that before: 1 is right, more is torn, less is blurred.
    """
    from magkit.magnify.band import check_request, parse_bands

    bands = parse_bands(band or [])
    check_request(factor, mode, bands)
    if whole and at is not None:
        raise UsageError("--at names the place of a vibration, --whole measures whole frames")
    place = None if at is None else parse_rectangle(at, "--at")
    _check_new(output, overwrite)

    from magkit.evaluate.vibration import measure
    from magkit.evaluate.whole import magnify_whole, summarize_whole
    from magkit.magnify.load import load_magnifier
    from magkit.magnify.pipeline import magnify
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.video import open_video
    from magkit.video.info import filming

    set_threads(threads)
    where = resolve_device(device)
    model = load_magnifier(magnifier, weights, opt or (), where)
    video = open_video(source)
    filmed, times = filming(video.info, capture_fps)
    rate, count = float(filmed), video.info.frames
    settings: dict[str, Any] = {"mode": mode, "band": bands, "rate": rate, "times": times}
    with out.progress(f"magnifying {source}") as progress:
        if whole:
            frames = magnify_whole(video, model, factor, device=where, **settings)
            found = summarize_whole(_counted(frames, progress, count))
        else:
            magnified = magnify(video, model, factor, device=where, **settings)
            magnified = _counted(magnified, progress, count)
            patch, vibration = measure(video, magnified, rate, place, times)
            found = {**patch.as_dict(), **vibration.as_dict()}
    result = {
        "clip": source,
        "magnifier": magnifier,
        "weights": weights,
        "factor": factor,
        "mode": mode,
        "bands": [asdict(each) for each in bands],
        "rate": rate,
        **found,
    }
    out.show(whole_table(result) if whole else vibration_table(result))
    if output is not None:
        _write(output, {**result, "clip": str(source)}, overwrite)
    out.finish(result, wrote=[output] if output else [])


def encoder(
    out: Output,
    path: Annotated[
        Path, typer.Argument(metavar="RUN|FILE", help="A run of magkit pretrain, or its result.")
    ],
    *,
    magnifier: Annotated[
        str | None, typer.Option(metavar="NAME", help="The magnifier that the encoder must fit.")
    ] = None,
    backbone: OwnBackbone = None,
    probe: Probe = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="Evaluate on the frames of a data set.")
    ] = None,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    frames: Annotated[int, typer.Option(min=8, help="Number of frames to evaluate on.")] = 64,
    output: OutputPath = None,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Measure, without labels, how well an encoder suits motion magnification.

    Frames are displaced by 0.1 to 2 pixels: do features move along, do their differences grow with
    the displacement, can it be read out of them, is colour kept? Beside it stand the same encoder
    with random weights, and that of the weights that ship. With --probe, labelled pictures are
    classified by their mean features: by the nearest neighbours, and by a linear regression.
    """
    _check_new(output, overwrite)
    if data is not None and (images or objects or object_images or procedural):
        raise UsageError("frames come from --data or from pictures, not from both")

    from magkit.data.open import open_dataset
    from magkit.evaluate.encoder import (
        OWN,
        evaluate_encoders,
        load_comparison,
        rendered_frames,
        stored_frames,
    )
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.selfsup.label_probe import read_labelled
    from magkit.synth.build import build_sources

    set_threads(threads)
    where = resolve_device(device)
    judged = load_comparison(path, magnifier, seed, backbone)
    labelled = None if probe is None else read_labelled(probe, judged.size)
    if data is not None:
        seen, others = stored_frames(open_dataset(data), frames, judged.size), None
    else:
        sources = build_sources(images or (), objects, object_images, procedural)
        seen, others = rendered_frames(sources, frames, judged.size, seed)
        others = others.to(where)
    with out.progress("measuring", "encoders") as progress:
        found = evaluate_encoders(judged, seen.to(where), others, progress, labelled)
    out.show(fitness_table(found))
    for row in found["rows"]:
        for text in row["warnings"] if row["weights"] == OWN else ():
            out.warn(f"{row['branch']}: {text}")
    if output is not None:
        _write(output, {**found, "encoder": str(found["encoder"])}, overwrite)
    out.finish(
        found,
        wrote=[output] if output else [],
        then=""
        if backbone
        else f"magkit finetune --magnifier {found['magnifier']} --encoder {path}",
    )


def _counted(frames: Iterable[T], progress: Progress, total: int | None) -> Iterator[T]:
    for done, frame in enumerate(frames, 1):
        yield frame
        progress(done, total)


def _check_new(path: Path | None, overwrite: bool) -> None:
    """Refuse an output that exists before anything is measured."""
    if path is not None and path.exists() and not overwrite:
        raise MagkitError(f"{path} exists", hint="--overwrite replaces it")


def _new_label(other: str, names: Container[str]) -> str:
    """Returns the label of a magnifier to compare with.

    Raises:
        UsageError: The label is taken.
    """
    name, equals, file = other.partition("=")
    label = f"{name}={Path(file).name}" if equals else name
    if label in names:
        raise UsageError(f"'{label}' is measured already", "compare each with the others once")
    return label


def _write(path: Path, result: Mapping[str, Any], overwrite: bool) -> None:
    from magkit.runtime.files import atomic_path

    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


add(evaluate, magnifier)
add(evaluate, clip)
add(evaluate, encoder)
add(evaluate, inversion)
add(evaluate, student)
