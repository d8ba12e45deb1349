"""Parameters of commands: values from --config files, checks of paths, errors of values."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import typer

from magkit.errors import UsageError, did_you_mean
from magkit.options import invalid_choice, option_key, option_pairs
from magkit.runtime.text import read_toml

OUTPUTS = (
    "output",
    "plot",
    "slice_file",
)  # parameters that name what is written; other paths are read
# "-", what ffmpeg calls it, and the names of a process' open files.
_STANDARD = re.compile(r"-|pipe:\d*|/dev/(stdin|stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+")
# A path has one slash where the URL had two; a single letter is a drive of Windows.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_CAMERA = re.compile(r"/dev/video\d+")
_WEB = ("http", "https", "ftp", "ftps", "sftp")
_STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")


def whole_numbers(text: str, count: int, form: str) -> list[int]:
    """Parse whole numbers between commas.

    Args:
        text: The value of an option.
        count: How many it must hold.
        form: The option and what it takes, for the hint.

    Raises:
        UsageError: These are not `count` whole numbers.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise UsageError(f"'{text}' is not {count} whole numbers", form)
    return numbers


def parse_rectangle(text: str, option: str) -> tuple[int, int, int, int]:
    """Parse X,Y,W,H, the value of an option.

    Raises:
        UsageError: These are not four whole numbers.
    """
    x, y, width, height = whole_numbers(text, 4, f"{option} X,Y,W,H")
    return x, y, width, height


def read_config(context: typer.Context, path: Path | None) -> None:
    """Makes a file's keys, the options' names without dashes, the defaults of the command.

    Options that may be given again take a list; `opt` may also be a table of keys and values.

    Raises:
        UsageError: The file can't be read, isn't TOML, or has a key that isn't an option.
    """
    if path is None or context.resilient_parsing:
        return
    table = {option_key(key): value for key, value in read_toml(path).items()}
    options = {
        option_name(param): param
        for param in context.command.params
        if param.param_type_name == "option" and param.name not in ("config", "help")
    }
    for key in table:
        if key not in options:
            known = did_you_mean(key, [name.replace("_", "-") for name in options])
            raise UsageError(f"'{path}': {context.info_name} has no option '{key}'", known)
    context.default_map = {
        str(options[key].name): _flag_value(path, key, value, many=options[key].multiple)
        for key, value in table.items()
    }


def option_name(param: Any) -> str:
    """Returns an option's name as its flag spells it: `class` of --class."""
    flag = next((opt for opt in param.opts if opt.startswith("--")), param.name)
    return str(flag).removeprefix("--").replace("-", "_")


def merged_options(
    context: typer.Context, param: typer.CallbackParam, pairs: list[str] | None
) -> list[str]:
    """Returns the KEY=VALUE texts of the file and then of the flags, which override single keys."""
    from_file = (context.default_map or {}).get(str(param.name)) or []
    return [*from_file, *(pairs or [])]


def _flag_value(path: Path, key: str, value: Any, *, many: bool) -> Any:
    """The value as the command line would give it: texts, which are then checked as flags are."""
    if many:
        if isinstance(value, dict):
            return option_pairs(value)
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list | dict):
        raise UsageError(f"'{path}': '{key}' takes one value, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"'{path}': '{key}' must be a number, not {value}")
    return value if isinstance(value, bool) else str(value)


def check_paths(values: Mapping[str, Any], arguments: Container[str]) -> None:
    """Check the paths among a command's parameters.

    Args:
        values: what it is called with, by the names of its parameters.
        arguments: which of these are no options, but the clips and folders that it works on.

    Raises:
        UsageError: one names standard input or output, or a URL; or an argument is a pipe or a
            device, where an option may be a file that is read once.
    """
    for name, value in values.items():
        for path in value if isinstance(value, list | tuple) else [value]:
            if isinstance(path, Path):
                _refuse_url(path, written=name in OUTPUTS)
                if name in OUTPUTS:
                    _refuse_standard_output(path)
                elif name in arguments or path == Path("-"):
                    _refuse_stream(path)


def _refuse_url(path: Path, *, written: bool) -> None:
    found = _URL.fullmatch(path.as_posix())
    if found is None or _kind(path):
        return
    scheme, rest = found[1].lower(), found[2]
    if scheme == "file":
        from urllib.request import url2pathname  # slow to import

        own = url2pathname("/" + rest.removeprefix("localhost/"))
        raise UsageError(f"file:///{rest} is a URL", f"name the path alone: {own}")
    url = f"{scheme}://{rest}"
    if written:
        raise UsageError(
            f"{url} is a URL: results are written to this machine",
            "name a path here, and copy the result",
        )
    raise UsageError(f"{url} is a URL: files and folders of this machine are read", _fetched(url))


def _fetched(url: str) -> str:
    """The hint for a URL that is given as an input."""
    scheme = url.partition(":")[0]
    if scheme in _STREAMS:
        return f"record it first, such as by: ffmpeg -i '{url}' -t 10 clip.mkv"
    return "download it first" if scheme in _WEB else "copy it to this machine first"


def _refuse_standard_output(path: Path) -> None:
    if _STANDARD.fullmatch(path.as_posix()):
        raise UsageError(
            f"'{path}' is a stream, and results are written to files and folders, whole or not at"
            " all",
            "name a file or a folder",
        )


def _refuse_stream(path: Path) -> None:
    """Refuse streams and devices: a clip is read several times."""
    name = path.as_posix()
    if _CAMERA.fullmatch(name):
        hint = f"record a clip first, such as by: ffmpeg -f v4l2 -i {path} -t 10 clip.mkv"
        raise UsageError(f"{path} is a camera, and clips are read from files", hint)
    if _STANDARD.fullmatch(name) or _kind(path) in (stat.S_IFIFO, stat.S_IFSOCK):
        what = "standard input" if name in ("-", "/dev/stdin") else "a stream"
        raise UsageError(
            f"'{path}' is {what}, which can be read only once",
            "write it to a file first, and name that",
        )
    if _kind(path) in (stat.S_IFCHR, stat.S_IFBLK):
        raise UsageError(f"{path} is a device, neither a file nor a folder", "name one of those")


def _kind(path: Path) -> int:
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return 0


_ASKED = {"int": "a whole number", "float": "a number", "bool": "true or false"}
"""By the first part of pydantic's error types, such as "int_parsing"."""

_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def value_error(error: Exception) -> UsageError | None:
    """Returns the error of a parameter's value; None: it isn't one of pydantic's validation."""
    param, context = getattr(error, "param", None), getattr(error, "ctx", None)
    findings = getattr(error.__cause__, "errors", None)
    if param is None or context is None or findings is None:
        return None
    found = findings()[0]
    option, text = _called(param), str(found["input"])
    help_ = _origin(param, context) or f"see '{context.command_path} --help'"
    asked = _ASKED.get(found["type"].partition("_")[0]) or _bound(found.get("ctx", {}))
    if asked:
        return UsageError(f"{option} must be {asked}, not {text!r}", help_)
    choices = [str(item.value) for item in param.shell_complete(context, "")]
    if choices:
        return invalid_choice(option, text, choices, help_)
    return UsageError(f"{option}: {found['msg'].removeprefix('Value error, ')}", help_)


def _origin(param: Any, context: Any) -> str:
    """The source of a value that isn't on the command line."""
    source = getattr(context.get_parameter_source(param.name), "name", "")
    said = {"ENVIRONMENT": f"the variable {param.envvar}", "DEFAULT_MAP": "the --config file"}
    return f"{said[source]} says so" if source in said else ""


def _called(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"argument '{param.metavar or param.name}'"
    return f"option '--{option_name(param).replace('_', '-')}'"


def _bound(given: dict[str, Any]) -> str:
    return next((f"{words} {given[key]:g}" for key, words in _BOUNDS.items() if key in given), "")
