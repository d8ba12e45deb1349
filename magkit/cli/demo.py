"""`magkit demo`: a vibration too small to see, made visible and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magkit.cli.common import Device, MagnifierName, Overwrite, Threads, WeightsFile
from magkit.cli.output import Output

Folder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the results.")
]


def demo(
    out: Output,
    *,
    output: Folder = Path("magkit-demo"),
    magnifier: MagnifierName = "magnet-fast",
    weights: WeightsFile = None,
    device: Device = "auto",
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Render a clip with a vibration too small to see, magnify it and measure the result.

    It writes the clip, the magnified one, both side by side, and one column of pixels over time.
    """
    from magkit.evaluate.demo import check_folder, run_demo
    from magkit.magnify.load import load_magnifier
    from magkit.runtime.device import resolve_device, set_threads

    check_folder(output, overwrite=overwrite)
    set_threads(threads)
    place = resolve_device(device)
    model = load_magnifier(magnifier, weights, device=place)
    with out.progress("demo") as progress:
        made = run_demo(output, model, device=place, overwrite=overwrite, progress=progress)
    achieved = made.gain * made.factor
    out.show(
        f"a vibration of {made.displacement:g} px at {made.frequency:g} Hz came out "
        f"{achieved:.1f} times as large: {made.gain:.2f} of the factor {made.factor:g} asked for"
    )
    out.finish(
        made.as_dict(),
        wrote=made.files,
        then=f"look at {made.files[2]}, then try magkit magnify on a clip of yours",
    )
