"""The options that commands share, and how a function becomes a command."""

from __future__ import annotations

import functools
import inspect
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo

from magkit.cli.check import refuse_what_is_no_path
from magkit.cli.config import merged_options, option_name, read_config
from magkit.cli.output import Output, log_shown
from magkit.errors import MagkitError
from magkit.progress import QUIET

Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Processor threads; torch's choice if unset.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Fixes every random draw.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
OutputPath = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where the result goes.")
]
MagnifierName = Annotated[
    str, typer.Option("--magnifier", metavar="NAME", is_eager=True, help="What magnifies.")
]
WeightsFile = Annotated[
    str | None,
    typer.Option("--weights", metavar="NAME|FILE", help="Other weights than those that ship."),
]
Opt = Annotated[
    list[str] | None,
    typer.Option(
        "--opt",
        metavar="KEY=VALUE",
        callback=merged_options,
        help="An option of what was chosen by name, listed below; may be given again.",
    ),
]

Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="SRC",
        help="Pictures for backgrounds: a folder, zip, glob, text list or bucket; may be given"
        " again.",
    ),
]
Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--objects",
        metavar="SRC",
        help="Objects: a COCO instances file, or cut-outs with transparency from any place that"
        " --images takes; may be given again.",
    ),
]
ObjectImages = Annotated[
    str | None,
    typer.Option(
        "--object-images",
        metavar="SRC",
        help="The pictures of COCO's objects, if not found beside the file.",
    ),
]
Procedural = Annotated[
    int,
    typer.Option(
        "--procedural",
        min=0,
        help="Procedural textures and objects to mix in; 2048, and nothing else, if no pictures"
        " are given.",
    ),
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=read_config,
        expose_value=False,
        help="Options from a file; flags and MAGKIT_<OPTION> variables outdo it.",
    ),
]
_SHARED = {"config": (Config, None), "quiet": (Quiet, False), "verbose": (Verbose, False)}
_SHARED |= {"json": (Json, False)}

_KINDS = ("method", "target", "magnifier")

WIDTH = 100
"""Columns of help at most, where the terminal has as many."""


def group(summary: str, **settings: Any) -> typer.Typer:
    """A command that holds commands."""
    return typer.Typer(
        cls=_Group,
        help=summary,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Plain help: importing what draws frames around it takes longer than all else together.
        rich_markup_mode=None,
        context_settings={"max_content_width": WIDTH},
        **settings,
    )


def add(app: typer.Typer, function: Callable[..., None], name: str = "") -> None:
    """Makes a function a command, called as the function unless it is given a name.

    The function's first parameter is the command's `Output`; the others are its arguments and
    options. Its docstring is the help. --quiet, --verbose, --json and --config come with it.
    """

    @functools.wraps(function)
    def command(**values: Any) -> None:
        out = Output(**{key: values.pop(key) for key in ("quiet", "verbose", "json")})
        values.pop("config", None)
        refuse_what_is_no_path(values, arguments)
        with out.captured(), log_shown(out), _traceback(out), _quiet_everywhere(out):
            function(out, **values)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    arguments = {p.name for p in own if _is_argument(p)}
    shared = [_option(name, *option) for name, option in _SHARED.items()]
    signature = inspect.Signature([*map(_keyword, own), *shared])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {key: p.annotation for key, p in signature.parameters.items()}
    app.command(name or function.__name__.replace("_", "-"), cls=_Command)(command)


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _is_argument(parameter: inspect.Parameter) -> bool:
    notes = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(note, ArgumentInfo) for note in notes)


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


@contextmanager
def _traceback(out: Output) -> Iterator[None]:
    """Shows where an unexpected exception came from, with --verbose, and lets it go on."""
    try:
        yield
    except MagkitError:
        raise
    except Exception:
        if out.verbose:
            traceback.print_exc()
        raise


@contextmanager
def _quiet_everywhere(out: Output) -> Iterator[None]:
    """Has all that runs know of --quiet, by the variable that sets it, however it was set."""
    before = os.environ.get(QUIET)
    os.environ[QUIET] = str(int(out.quiet))
    try:
        yield
    finally:
        os.environ.pop(QUIET, None)
        if before is not None:
            os.environ[QUIET] = before


class _Group(TyperGroup):
    """Commands whose summaries are wrapped in the list, not cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(1000)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class _Command(TyperCommand):
    """A command whose options MAGKIT_<OPTION> can set, and whose help lists a plugin's options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.param_type_name == "option" and param.envvar is None:
                param.envvar = f"MAGKIT_{option_name(param).upper()}"
                param.show_envvar = False  # type: ignore[attr-defined]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        for kind, name in self._chosen(ctx):
            _write_options(formatter, kind, name)

    def _chosen(self, ctx: Any) -> Iterator[tuple[str, str]]:
        from magkit.completion.kinds import UNSET

        params = {param.name: param for param in self.params}
        if "opt" in params:
            # A method comes with a magnifier, whose options have a flag of their own.
            kind = next((kind for kind in _KINDS if kind in params), "")
            unset = UNSET.get(f"--{kind}")
            name = kind and (ctx.params.get(kind) or params[kind].get_default(ctx) or unset)
            if name:
                # Of several targets the first has the options; its weight is no part of its name.
                first = name[0] if isinstance(name, list | tuple) else name
                yield kind, str(first).partition("=")[0]


def _write_options(formatter: Any, kind: str, name: str) -> None:
    from magkit.options import option_rows
    from magkit.plugins import registry

    spec = getattr(registry(), kind)(name)
    rows = [
        (f"{row.key} ({row.type})", f"{row.help}  [default: {row.default}]".lstrip())
        for row in option_rows(spec.config)
    ]
    if rows:
        with formatter.section(f"--opt of the {kind} {name}"):
            formatter.write_dl(rows)
