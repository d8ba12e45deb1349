"""The Typer application with all commands."""

from __future__ import annotations

from typing import Annotated

import typer

from magkit.cli.adapt import adapt
from magkit.cli.command import add, group
from magkit.cli.completion import completion
from magkit.cli.embed import embed
from magkit.cli.evaluate import evaluate
from magkit.cli.export import export
from magkit.cli.finetune import finetune
from magkit.cli.gen_data import gen_data
from magkit.cli.invert import invert
from magkit.cli.magnify import demo, magnify
from magkit.cli.measure import measure
from magkit.cli.plan import plan
from magkit.cli.plugins import plugins
from magkit.cli.pretrain import pretrain
from magkit.cli.report import report
from magkit.cli.stitch import stitch
from magkit.version import __version__


def _show_version(wanted: bool) -> None:
    if wanted:
        import platform
        from importlib import metadata

        torch = metadata.version("torch")
        typer.echo(f"magkit {__version__} (Python {platform.python_version()}, torch {torch})")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
]

app = group(
    "Magnify motion in video, pretrain encoders without labels, and invert trained networks."
)


@app.callback()
def _root(version: Version = False) -> None:
    pass


add(app, demo)
add(app, magnify)
add(app, measure)
add(app, plan)
add(app, report)
add(app, pretrain)
add(app, finetune)
add(app, adapt)
add(app, gen_data)
add(app, export)
add(app, embed)
add(app, invert)
add(app, stitch)
app.add_typer(evaluate, name="evaluate")
app.add_typer(plugins, name="plugins")
add(app, completion)
