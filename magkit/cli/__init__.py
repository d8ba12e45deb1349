"""The command line: `main` runs a command and reports errors as a sentence, without a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from magkit.errors import MagkitError

INTERRUPTED = 130
TERMINATED = 143


def main() -> None:
    """Runs `magkit` with this process' arguments and exits with the code of `run`."""
    if sys.argv[1:2] == ["_values"]:
        # A shell asks at every TAB: typer is imported only where no tree of commands is cached.
        from magkit.completion.values import main as print_values

        sys.exit(print_values(sys.argv[2:], _root))
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold what the terminal's encoding can't: that must not end the program.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs `magkit ARGUMENTS` and reports errors on standard error.

    Args:
        arguments: None: the process' own, in which Windows has left wildcards to the program.

    Returns:
        The exit code: 0, 1 failure, 2 usage, 130 interrupted.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _say("interrupted", code=INTERRUPTED)
    except MagkitError as error:
        _show_traceback()
        return _say(error.message, error.hint, error.exit_code)
    except OSError as error:
        return _say(*_explain_os_error(error))
    except Exception as error:
        return _unexpected(error)


def _root() -> Any:
    """Returns the top-level command."""
    import typer

    from magkit.cli.app import app

    return typer.main.get_command(app)


def _run(arguments: Sequence[str] | None) -> int:
    import typer

    from magkit.cli.parameters import value_error

    if arguments is None and not sys.argv[1:]:
        arguments = ["--help"]
    command = _root()
    try:
        code = command.main(arguments, "magkit", standalone_mode=False)
    except typer.TyperException as error:
        if (wrong := value_error(error)) is not None:
            raise wrong from error
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "magkit"
        message = " ".join(error.format_message().split())
        return _say(message[:1].lower() + message[1:], f"see '{path} --help'", error.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code or 0


def _say(message: str, hint: str = "", code: int = 1) -> int:
    import typer

    typer.secho("magkit: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(message, err=True)
    if hint:
        typer.echo(f"  hint: {hint}", err=True)
    return code


def _explain_os_error(error: OSError) -> tuple[str, str]:
    named = f" '{error.filename}'" if error.filename else ""
    reason = (error.strerror or str(error)).lower()
    code = errno.errorcode.get(error.errno or 0)
    if code in ("ENOSPC", "EDQUOT"):
        return (
            f"no space is left to write{named or ' the result'}",
            "free some, or choose another --output",
        )
    if code == "ENAMETOOLONG":
        return f"the name{named} is too long", "choose a shorter one"
    if code in ("EACCES", "EPERM", "EROFS"):
        return f"no permission to use{named}: {reason}", ""
    return f"can't use{named or ' a file'}: {reason}", ""


def _unexpected(error: Exception) -> int:
    _show_traceback()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _say("out of memory", "a smaller size, or another --device, needs less")
    text = " ".join(str(error).split()) or "no message"
    if "magkit.plugins" in sys.modules:
        from magkit.plugins import registry

        # Not loaded: a plugin raised while it was, which is asked for by MAGKIT_STRICT_PLUGINS.
        loaded = registry.cache_info().currsize
        if loaded and (plugin := registry().raised_by(error)) is not None:
            said = f"the plugin {plugin} failed: {type(error).__name__}: {text}"
            return _say(said, f"MAGKIT_DEBUG=1 shows where; {plugin.disable_hint}")
    return _say(
        f"stopped by an error of its own: {type(error).__name__}: {text}",
        "please report it with 'magkit --version', the command and what MAGKIT_DEBUG=1 shows",
    )


def _show_traceback() -> None:
    variables = ("MAGKIT_DEBUG", "MAGKIT_STRICT_PLUGINS")
    if any(os.environ.get(variable, "0") not in ("", "0") for variable in variables):
        import traceback

        traceback.print_exc()


def _terminate(*_: object) -> None:
    # As an exception, so that half-written files are removed on the way out.
    sys.exit(TERMINATED)
