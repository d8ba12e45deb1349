"""Shells in which a person presses TAB: each in a home of its own, fresh from its start."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pytest

ROOT = Path(__file__).parents[2]
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

# Answers as the installed program does, but only tells what else it would have been run with.
PROGRAM = """#!/bin/sh
if [ "$1" = _values ] || [ "$1" = completion ]; then
    exec {python} -m magkit "$@"
fi
printf '%s\\n' "$@" >"$HOME/ran"
"""

BASHRC = r"""
PS1='> '
bind 'set enable-bracketed-paste off'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind -x '"\C-xd": printf "%s\n" "$READLINE_LINE" >~/line; printf "d""one\n"'
bind '"\C-xa": insert-completions'
"""

INSTALLED = """
fpath=(PREFIX/share/zsh/site-functions $fpath)
autoload -Uz compinit
compinit -u -d ~/.zcompdump
"""

ZSHRC = r"""
READ
PS1='> '
unset zle_bracketed_paste
LISTMAX=10000
show-line() { print -r -- "$BUFFER" >~/line; print done }
zle -N show-line
bindkey '^Xd' show-line
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert yes
zle -C all-matches complete-word _generic
bindkey '^Xa' all-matches
"""


class Shell(Protocol):
    """What tests do with a shell."""

    def offers(self, line: str) -> set[str]:
        """What may take the place of the last word, as a program would be given it."""


class Place:
    """A home, a working directory, and a prefix that magkit's wheel was installed into."""

    def __init__(self, root: Path) -> None:
        self.home, self.here, self.prefix = root / "home", root / "here", root / "prefix"
        for folder in (self.home, self.here, self.prefix / "bin"):
            folder.mkdir(parents=True)
        for source, target in (
            ("magkit.bash", "bash-completion/completions/magkit"),
            ("_magkit", "zsh/site-functions/_magkit"),
            ("magkit.fish", "fish/vendor_completions.d/magkit.fish"),
        ):
            copy = self.prefix / "share" / target
            copy.parent.mkdir(parents=True)
            shutil.copyfile(ROOT / "magkit/completion/scripts" / source, copy)
        program = self.prefix / "bin" / "magkit"
        program.write_text(PROGRAM.format(python=shlex.quote(sys.executable)), encoding="utf-8")
        program.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """The environment of whoever works here."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("MAGKIT_")}
        paths = [os.environ.get("PYTHONPATH", ""), str(ROOT)]
        return {
            **kept,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": f"{self.prefix / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TERM": "dumb",
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_DIRS": f"{self.prefix / 'share'}:/usr/local/share:/usr/share",
        }


class Terminal:
    """An interactive shell, started when something is typed first."""

    def __init__(self, place: Place, *command: str) -> None:
        self.place, self._command = place, command

    @cached_property
    def _child(self) -> Any:
        import pexpect

        program, *arguments = self._command
        child = pexpect.spawn(
            program,
            arguments,
            env=self.place.env,
            cwd=self.place.here,
            # Wide enough for all offers in one line.
            dimensions=(50, 2000),
            encoding="utf-8",
            timeout=60,
        )
        child.expect("> ")
        return child

    def press(self, line: str, keys: str = "\t") -> str:
        """The line after it was typed and keys were pressed; it is deleted then."""
        self._child.send(f"{line}{keys}\x18d")
        self._child.expect("done")
        self._child.send("\x15")
        return (self.place.home / "line").read_text(encoding="utf-8").removesuffix("\n")

    def run(self, line: str) -> list[str]:
        """What magkit is given when a line is completed and sent off."""
        ran = self.place.home / "ran"
        ran.unlink(missing_ok=True)
        self._child.sendline(self.press(line))
        self._child.sendline("echo o''ver")
        self._child.expect("over")
        return ran.read_text(encoding="utf-8").splitlines()

    def offers(self, line: str) -> set[str]:
        pressed = self.press(line, "\x18a")
        before = len(shlex.split(line.rpartition(" ")[0]))
        return set() if pressed == line else set(shlex.split(pressed)[before:])

    def close(self) -> None:
        """Ends it, if it was started."""
        if "_child" in vars(self):
            self._child.close(force=True)


class Fish:
    """fish, which completes without a terminal: a new one for every line.

    It is `read` a line first.
    """

    def __init__(self, place: Place, read: str = "") -> None:
        self.place, self.read = place, read

    def offers(self, line: str) -> set[str]:
        done = subprocess.run(
            ["fish", "-c", f"{self.read}\ncomplete -C $argv[1]", "--", line],
            env=self.place.env,
            cwd=self.place.here,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return {found.partition("\t")[0] for found in done.stdout.splitlines()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a shell is started."""
    return Place(tmp_path)


@pytest.fixture
def terminal(place: Place) -> Iterator[Callable[..., Terminal]]:
    """Gives bash or zsh, which find completion by themselves when it is needed first."""
    begun = []

    def start(name: str, read: str = "") -> Terminal:
        """A shell that is `read` a line before all else, in place of what finds installed files."""
        pytest.importorskip("pexpect")
        needs(name, place)
        installed = INSTALLED.replace("PREFIX", shlex.quote(str(place.prefix)))
        (place.home / ".zshrc").write_text(
            ZSHRC.replace("READ", read or installed), encoding="utf-8"
        )
        script = place.prefix / "share" / "bash-completion" / "completions" / "magkit"
        found = BASH_COMPLETION if BASH_COMPLETION.is_file() else script
        rc = place.home / ".bashrc"
        first = read or f"source {shlex.quote(str(found))}"
        rc.write_text(f"{first}\n{BASHRC}", encoding="utf-8")
        # Files of the system's own that may start completion are left out.
        arguments = {"bash": ("--noprofile", "--rcfile", str(rc), "-i"), "zsh": ("-d", "-i")}
        begun.append(Terminal(place, name, *arguments[name]))
        return begun[-1]

    yield start
    for each in begun:
        each.close()


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, place: Place, terminal: Callable[..., Terminal]) -> Shell:
    """Each shell in turn."""
    if request.param != "fish":
        return terminal(request.param)
    needs("fish", place)
    return Fish(place)


@pytest.fixture
def bare_fish(place: Place) -> Fish:
    """One that finds no installed file, and reads what magkit prints."""
    needs("fish", place)
    (place.prefix / "share" / "fish" / "vendor_completions.d" / "magkit.fish").unlink()
    return Fish(place, "magkit completion fish | source")


def needs(name: str, place: Place) -> None:
    """Skips the test where a shell is absent."""
    if shutil.which(name, path=place.env["PATH"]) is None:
        pytest.skip(f"no {name} here")
