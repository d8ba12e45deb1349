"""A stand-in for `python` that has imported torch already, for tests that start many processes.

    python preloaded_python.py FOLDER

A server imports what takes long, when it is first asked, and forks for every command line. It
writes the program FOLDER/python, which sends the server its arguments, environment, working
directory and open files, passes signals on, and ends as the forked process ends. Where the program
is killed, the server kills the process. Options of the interpreter other than `-B`, `-c`, `-m` and
torchrun's `-u` start the real one. Procedural textures are drawn once for all processes. The server
ends with its standard input.
"""

import atexit
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn

PRELOADED = (
    *("torch", "torch._dynamo", "torch.optim", "torch.utils.data", "torch.multiprocessing.spawn"),
    *("torch.distributed.nn", "torch.distributed.launcher.api", "torchvision", "safetensors.torch"),
    *("numpy", "scipy.ndimage", "PIL.PngImagePlugin", "PIL.JpegImagePlugin", "pluggy"),
    *("typer", "typer.rich_utils", "typer._adapters", "pydantic.fields", "rich._emoji_codes"),
)
FREE = 500  # the first of the file descriptors that nothing uses

PROGRAM = """#!{python} -IS
import json, os, signal, socket, sys

arguments = sys.argv[1:]
while arguments[:1] in (["-B"], ["-u"]):
    del arguments[0]
if arguments[:1] not in (["-c"], ["-m"]) and "".join(arguments[:1])[:1] in ("", "-"):
    os.execv({python!r}, [{python!r}, *arguments])

def is_open(file):
    try:
        return bool(os.fstat(file))
    except OSError:
        return False

files = [file for file in map(int, os.listdir("/proc/self/fd")) if is_open(file)]
asked = {{"arguments": arguments, "env": dict(os.environ), "cwd": os.getcwd(), "files": files}}
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
message = json.dumps(asked).encode()
socket.send_fds(server, [len(message).to_bytes(8, "big")], files)
server.sendall(message)
pid = int.from_bytes(server.recv(8), "big")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.kill(pid, number))
code = int.from_bytes(server.recv(8), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the program was asked to run.

    Attributes:
        arguments: what follows `python`.
        env: all environment variables.
        cwd: working directory.
        files: the numbers of the open files.
        handed: the same files, as this process has received them.
    """

    arguments: list[str]
    env: dict[str, str]
    cwd: str
    files: list[int]
    handed: list[int]

    @classmethod
    def receive(cls, client: socket.socket) -> "CommandLine":
        head, handed, _, _ = socket.recv_fds(client, 8, 250)
        with client.makefile("rb") as stream:
            return cls(**json.loads(stream.read(int.from_bytes(head, "big"))), handed=handed)


@dataclass(frozen=True, slots=True)
class Forked:
    """A process at work: its id, a descriptor that is readable when it ends, and who waits."""

    pid: int
    ended: int
    client: socket.socket


class Server:
    """Forks for every command line that arrives, and tells who waits how the process ended."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self._folder = folder
        self._listener = listener
        self._at_work: list[Forked] = []
        self._selector = selectors.PollSelector()  # which has no descriptor of its own
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def serve(self) -> CommandLine:
        """Return in the forked processes alone, with what each is to run."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    if command := self._fork():
                        return command
                elif key.fileobj is sys.stdin:
                    for process in self._at_work:
                        os.kill(process.pid, signal.SIGKILL)
                    os._exit(0)
                elif key.fileobj is key.data.client:  # the program was killed
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data.pid, signal.SIGKILL)
                else:
                    self._tell_the_end(key.data)

    def _fork(self) -> CommandLine | None:
        preload(self._folder)
        client, _ = self._listener.accept()
        command = CommandLine.receive(client)
        if not (pid := os.fork()):
            clients = [each.client for each in self._at_work]
            for connection in (self._listener, client, *clients):
                os.close(connection.detach())
            for each in self._at_work:
                os.close(each.ended)
            return command
        for file in command.handed:
            os.close(file)
        with suppress(OSError):
            client.send(pid.to_bytes(8, "big"))
        process = Forked(pid, os.pidfd_open(pid), client)
        self._at_work.append(process)
        self._selector.register(process.ended, selectors.EVENT_READ, process)
        self._selector.register(client, selectors.EVENT_READ, process)
        return None

    def _tell_the_end(self, process: Forked) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        self._at_work.remove(process)
        self._selector.unregister(process.ended)
        os.close(process.ended)
        if process.client in self._selector.get_map():
            self._selector.unregister(process.client)
            with suppress(OSError):
                process.client.send(code.to_bytes(8, "big", signed=True))
        process.client.close()


def preload(folder: Path) -> None:
    """Import what is slow to import, all of magkit included, once."""
    if "torch" in sys.modules:
        return
    for name in PRELOADED:
        importlib.import_module(name)
    import magkit

    for module in pkgutil.walk_packages(magkit.__path__, "magkit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from magkit.synth import procedural

    kept = runpy.run_path(str(Path(__file__).with_name("kept_textures.py")))["kept"]
    procedural.texture = kept(procedural.texture, folder / "textures")
    gc.collect()
    gc.freeze()


def take_over(command: CommandLine, program: Path, installed: list[str]) -> None:
    """Become the process that was asked for, but for the interpreter itself."""
    os.setsid()
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, FREE) for file in command.handed]
    for file in command.handed:
        os.close(file)
    for file, number in zip(moved, command.files, strict=True):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(command.env)
    os.chdir(command.cwd)
    tempfile.tempdir = None
    sys.executable = str(program)
    multiprocessing.set_executable(str(program))
    sys.path[:] = [*python_path(), *installed]
    importlib.invalidate_caches()


def python_path() -> list[str]:
    """The folders that PYTHONPATH names."""
    named = os.environ.get("PYTHONPATH")
    return [str(Path(each).absolute()) for each in named.split(os.pathsep)] if named else []


def run(arguments: list[str]) -> None:
    """Do what `python ARGUMENTS` does."""
    first, *rest = arguments
    if first == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    elif first == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = rest
        sys.modules.pop(rest[0], None)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(first).absolute().parent))
        sys.argv = arguments
        runpy.run_path(first, run_name="__main__")


def end(error: BaseException | None) -> NoReturn:
    """End as an interpreter does, but for freeing all that was imported, which takes as long."""
    code = 1 if error else 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    elif error:
        sys.excepthook(type(error), error, error.__traceback__)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


def main(folder: Path) -> None:
    # One thread a process: the tests run side by side, and a process with threads can't be forked.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    installed = [place for place in sys.path[1:] if place not in python_path()]
    program, listener = folder / "python", socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(100)
    program.write_text(PROGRAM.format(python=sys.executable, socket=str(folder / "socket")))
    program.chmod(0o755)
    print("ready", flush=True)
    command = Server(folder, listener).serve()
    take_over(command, program, installed)
    try:
        run(command.arguments)
    except BaseException as error:
        end(error)
    end(None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
