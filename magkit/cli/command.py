"""`add` makes a function a command with the shared options; `group` holds commands."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo

from magkit.cli.options import Config, Json, Quiet, Verbose
from magkit.cli.output import Output, log_printed
from magkit.cli.parameters import check_paths, option_name
from magkit.errors import MagkitError, UsageError
from magkit.progress import QUIET

_SHARED = {"config": (Config, None), "quiet": (Quiet, False), "verbose": (Verbose, False)}
_SHARED |= {"json": (Json, False)}

WIDTH = 100
"""Columns of help at most, where the terminal has as many."""


def group(summary: str, **settings: Any) -> typer.Typer:
    """Returns a command that groups others."""
    return typer.Typer(
        cls=_Group,
        help=summary,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Plain help: importing rich's formatter takes longer than everything else.
        rich_markup_mode=None,
        context_settings={"max_content_width": WIDTH},
        **settings,
    )


def add(app: typer.Typer, function: Callable[..., None], name: str = "") -> None:
    """Makes a function a command of the same name, unless `name` is given.

    The function's first parameter is the command's `Output`; the others are its arguments and
    options. Its docstring is the help. --quiet, --verbose, --json and --config come with it.
    """

    @functools.wraps(function)
    def command(**values: Any) -> None:
        out = Output(**{key: values.pop(key) for key in ("quiet", "verbose", "json")})
        values.pop("config", None)
        check_paths(values, arguments)
        with out.captured(), log_printed(out), _traceback(out), _quiet_variable(out):
            function(out, **values)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    arguments = {p.name for p in own if _is_argument(p)}
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, keyword, annotation=annotation, default=default)
        for name, (annotation, default) in _SHARED.items()
    ]
    signature = inspect.Signature([*(p.replace(kind=keyword) for p in own), *shared])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {key: p.annotation for key, p in signature.parameters.items()}
    app.command(name or function.__name__.replace("_", "-"), cls=_Command)(command)


def _is_argument(parameter: inspect.Parameter) -> bool:
    notes = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(note, ArgumentInfo) for note in notes)


@contextmanager
def hint_when_interrupted(out: Output) -> Iterator[None]:
    """Print how to resume when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        out.note("the same command goes on from the last checkpoint")
        raise


def make_idle_threads_sleep() -> None:
    """Make OpenMP's idle threads sleep; call it before torch is imported."""
    # They spin by default, on the processors that data loader processes need. The variable is read
    # once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def launch_processes(out: Output, devices: int) -> bool:
    """Run this command in `devices` processes and exit with their code, if it is not one of them.

    Of several processes of a training only the first one prints.

    Returns:
        Whether this process prints: it is the first, or the only one.

    Raises:
        UsageError: several are asked for, and this is one of several already.
    """
    if devices > 1:
        from magkit.runtime.distributed import launch

        if "RANK" in os.environ:
            problem = "torchrun started this process: --devices is for a command by itself"
            raise UsageError(problem, "leave out --devices")
        # The last of repeated flags counts; flags override the file and the environment.
        raise typer.Exit(launch(devices, [*sys.argv[1:], "--devices", "1"]))
    from magkit.runtime.shard import launched_shard

    is_first = launched_shard().number == 1
    if not is_first:
        out.mute()
    return is_first


@contextmanager
def _traceback(out: Output) -> Iterator[None]:
    """Prints the traceback of an unexpected exception with --verbose, and re-raises it."""
    try:
        yield
    except MagkitError:
        raise
    except Exception:
        if out.verbose:
            traceback.print_exc()
        raise


@contextmanager
def _quiet_variable(out: Output) -> Iterator[None]:
    """Sets the variable of --quiet, which libraries and child processes read."""
    before = os.environ.get(QUIET)
    os.environ[QUIET] = str(int(out.quiet))
    try:
        yield
    finally:
        os.environ.pop(QUIET, None)
        if before is not None:
            os.environ[QUIET] = before


class _Group(TyperGroup):
    """A group whose help wraps the commands' summaries instead of truncating them."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(1000)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class _Command(TyperCommand):
    """A command that reads MAGKIT_<OPTION> variables and lists a plugin's options in its help."""

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
        from magkit.completion.commands import DEFAULTS, KINDS

        params = {param.name: param for param in self.params}
        if "opt" in params:
            # A method comes with a magnifier, whose options have a flag of their own.
            kind = next((kind for kind in KINDS if kind in params), "")
            unset = DEFAULTS.get(f"--{kind}")
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
