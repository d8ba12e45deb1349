"""`magkit evaluate`: what magkit is judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magkit.cli.common import (
    Device,
    Images,
    MagnifierName,
    ObjectImages,
    Objects,
    Opt,
    OutputPath,
    Overwrite,
    Procedural,
    Seed,
    Threads,
    add,
    group,
)
from magkit.cli.output import Output

if TYPE_CHECKING:
    from rich.table import Table

evaluate = group("Measure how well things work, where the truth is known.")


def magnifier(
    out: Output,
    *,
    magnifier: MagnifierName = "magnet-fast",
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Its weights; those that ship if unset.")
    ] = None,
    opt: Opt = None,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    repeats: Annotated[
        int, typer.Option(min=1, help="Scenes of each of the 17 displacements and factors.")
    ] = 5,
    noise: Annotated[
        float,
        typer.Option(min=0, max=1, help="Standard deviation of noise on the input; 1 is white."),
    ] = 0.0,
    output: OutputPath = None,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Magnify scenes whose magnified frame is known exactly, and compare.

    Objects move by 0.05 to 1 pixel and are magnified 5 to 50 times, by up to 12 pixels. Gain is
    the factor that was achieved over the one asked for; SSIM is that to the exact frame, over the
    frame and in the moving region, and that of doing nothing beside it.
    """
    from magkit.evaluate.cases import cases
    from magkit.evaluate.magnifier import evaluate as scores
    from magkit.evaluate.magnifier import predictor, with_noise
    from magkit.evaluate.report import report
    from magkit.magnify.load import load_magnifier
    from magkit.runtime.atomic import atomic_path
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.synth.build import build_sources

    if output is not None and output.exists() and not overwrite:
        from magkit.errors import MagkitError

        raise MagkitError(f"{output} exists", hint="--overwrite replaces it")
    set_threads(threads)
    where = resolve_device(device)
    sources = build_sources(images or (), objects, object_images, procedural)
    predict = predictor(load_magnifier(magnifier, weights, opt or (), where))
    if noise:
        predict = with_noise(predict, noise, seed)
    judged = list(cases(sources, repeats, seed))
    records = []
    with out.progress("measuring", "scenes") as progress:
        for score in scores(predict, judged, sources, where):
            records.append(score.as_dict())
            progress(len(records), len(judged))
    settings = {"magnifier": magnifier, "weights": weights, "seed": seed, "noise": noise}
    result = {**settings, **report(records)}
    out.show(_table(result))
    if output is not None:
        with atomic_path(output, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    out.finish(result, wrote=[output] if output else [])


def _table(result: Mapping[str, Any]) -> Table:
    from rich.table import Table

    right = ("scenes", "gain", "within 10 %", "SSIM", "region", "SSIM still", "region still")
    table = Table("", title=f"{result['magnifier']}: gain is the median, the rest are means")
    for name in right:
        table.add_column(name, justify="right")
    table.add_row("all", *_cells(result["all"]), end_section=True)
    for row in result["displacement"]:
        last = row is result["displacement"][-1]
        table.add_row(f"{row['displacement']:g} px", *_cells(row), end_section=last)
    for row in result["factor"]:
        table.add_row(f"x{row['factor']:g}", *_cells(row))
    return table


def _cells(row: Mapping[str, float]) -> list[str]:
    names = ("ssim", "region_ssim", "input_ssim", "input_region_ssim")
    share = f"{100 * row['near']:.0f} %"
    return [f"{row['cases']:.0f}", f"{row['gain']:.3f}", share, *(f"{row[n]:.3f}" for n in names)]


add(evaluate, magnifier)
