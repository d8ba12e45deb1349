"""TAB in bash, zsh and fish, with what the wheel installs for them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ODD = [
    "$(touch pwned)",
    "`touch pwned`",
    "a b",
    "back\\slash",
    "co:lon",
    "eq=ual",
    'dou"ble',
    "it's",
]
METHODS = {"moco", "byol", "scrl", "warp", "photometric"}
METHOD = """
    from dataclasses import dataclass
    from typing import Literal
    from magkit import MethodSpec, hookimpl

    @dataclass(frozen=True)
    class Config:
        kind: Literal["a", "b"] = "a"

    @hookimpl
    def magkit_methods():
        return [MethodSpec(name="sole", summary="[x] 'y' $z: \\x1b", config=Config, build=None)]
"""
BROKEN = "import sys; print('loud'); print('louder', file=sys.stderr); 1 / 0"


def davis(root: Path, *videos: str) -> Path:
    """A folder of DAVIS that has the folders of these videos."""
    for video in videos:
        (root / "Annotations" / "480p" / video).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("magkit pre", "magkit pretrain "),
        ("magkit pretrain --method s", "magkit pretrain --method scrl "),
    ],
)
@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_first_tab_after_a_fresh_start(
    terminal: Callable[..., Any], name: str, line: str, completed: str
) -> None:
    assert terminal(name).press(line) == completed


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_recorded_session(place: Any, terminal: Callable[..., Any], name: str) -> None:
    davis(place.here / "DAVIS", "bear", "cows")
    (place.here / "the clip.mp4").touch()
    (place.here / "a folder").mkdir()
    session = terminal(name)
    for line, completed in (
        ("magkit invert --video b", "magkit invert --video bear "),
        ("magkit evaluate m", "magkit evaluate magnifier "),
        ("magkit plugins --config f n", "magkit plugins --config f new "),
        ("magkit pretrain --method=s", "magkit pretrain --method=scrl "),
        # Nothing is set apart from a key: its value follows.
        ("magkit pretrain --method moco --opt q", "magkit pretrain --method moco --opt queue="),
        ("magkit invert --opt rois=t", "magkit invert --opt rois=true "),
        ("magkit invert --opt=rois=t", "magkit invert --opt=rois=true "),
        ("magkit invert --video=be", "magkit invert --video=bear "),
        ("magkit magnify the", "magkit magnify the\\ clip.mp4 "),
        ("magkit stitch a", "magkit stitch a\\ folder/"),
        ("magkit stitch th", "magkit stitch th"),
        ("magkit demo --threads t", "magkit demo --threads t"),
        ("magkit demo --config the", "magkit demo --config the\\ clip.mp4 "),
    ):
        assert session.press(line) == completed
    assert session.run("magkit invert --video b") == ["invert", "--video", "bear"]


def test_commands_options_and_values(place: Any, shell: Any) -> None:
    davis(place.here / "DAVIS", "bear", "blackswan", "cows")
    assert {"demo", "magnify", "pretrain", "invert", "plugins"} <= shell.offers("magkit ")
    assert shell.offers("magkit pre") == {"pretrain"}
    assert shell.offers("magkit pretrain --method ") == METHODS
    assert shell.offers("magkit invert --video b") == {"bear", "blackswan"}
    assert shell.offers("magkit completion ") == {"bash", "zsh", "fish", "powershell"}
    assert shell.offers("magkit magnify clip.mp4 --mode ") == {"static", "dynamic", "follow"}
    keys = shell.offers("magkit pretrain --method moco --opt ")
    assert {"queue=", "tau="} <= keys
    assert not keys & {"boxes=", "rois="}
    assert {"boxes=", "tau="} <= shell.offers("magkit pretrain --method=scrl --opt ")
    assert "rois=" in shell.offers("magkit invert --opt ")
    assert shell.offers("magkit pretrain --opt ") == set()
    assert "--dry-run" in shell.offers("magkit gen-data --d")
    assert shell.offers("magkit nonsense --method ") == set()


def test_davis_elsewhere_and_runs(place: Any, shell: Any) -> None:
    davis(place.home / "DAVIS", "boat")
    for name, kind in (("one", "pretrain"), ("two", "invert"), ("bad", "?")):
        folder = place.here / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"kind": kind}), encoding="utf-8")
        for result in ("model.safetensors", "report.json"):
            (folder / result).touch()
    assert shell.offers("magkit invert --davis ~/DAVIS --video b") == {"boat"}
    for line, run in (("finetune --encoder", "runs/one"), ("evaluate inversion", "runs/two")):
        found = shell.offers(f"magkit {line} {run[:-1]}")
        assert {path.rstrip("/") for path in found} == {run}


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_folder_before_it_may_be_quoted(
    place: Any, terminal: Callable[..., Any], name: str
) -> None:
    davis(place.here / "the da'ta", "bear")
    session = terminal(name)
    for folder in ('"the da\'ta"', "the\\ da\\'ta", "$PWD/the\\ da\\'ta"):
        line = f"magkit invert --davis {folder} --video "
        assert session.press(f"{line}be") == f"{line}bear "
    assert session.press("magkit invert --davis=the\\ da\\'ta --video be")[-5:] == "bear "


def test_odd_names_are_offered_and_nothing_runs(place: Any, shell: Any) -> None:
    davis(place.here / "DAVIS", "line\nbreak", "bell\a", *ODD)
    assert shell.offers("magkit invert --video ") == {"all", *ODD}
    assert not list(place.here.rglob("pwned"))


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_odd_names_reach_the_program_as_they_are(
    place: Any, terminal: Callable[..., Any], name: str
) -> None:
    davis(place.here / "DAVIS", *ODD)
    session = terminal(name)
    for start, video in (
        ("\\$", "$(touch pwned)"),
        ('"\\$', "$(touch pwned)"),
        ("'$", "$(touch pwned)"),
        ("\\`", "`touch pwned`"),
        ("a\\ ", "a b"),
        ('"a ', "a b"),
        ("b", "back\\slash"),
        ("co:", "co:lon"),
        ("e", "eq=ual"),
        ("eq=", "eq=ual"),
        ("d", 'dou"ble'),
        ('"d', 'dou"ble'),
        ("i", "it's"),
        ("'i", "it's"),
    ):
        assert session.run(f"magkit invert --video {start}") == ["invert", "--video", video]
    assert not list(place.here.rglob("pwned"))


def test_plugins_take_part_and_a_broken_one_is_not_seen(
    shell: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("magkit-sole", METHOD)
    site.install("magkit-broken", BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(site.path))
    monkeypatch.setenv("MAGKIT_STRICT_PLUGINS", "1")
    assert shell.offers("magkit pretrain --method so") == {"sole"}
    assert shell.offers("magkit pretrain --method sole --opt ") == {"kind="}
    # bash offers what stands behind the key.
    choices = shell.offers("magkit pretrain --method sole --opt kind=")
    assert {choice.removeprefix("kind=") for choice in choices} == {"a", "b"}
    assert shell.offers("magkit pretrain --method ") == METHODS | {"sole"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bash", "source ../prefix/share/bash-completion/completions/magkit"),
        ("bash", 'eval "$(magkit completion bash)"'),
        ("bash", "source <(magkit completion bash)"),
        ("zsh", "source ../prefix/share/zsh/site-functions/_magkit"),
        ("zsh", 'eval "$(magkit completion zsh)"'),
        ("zsh", 'autoload -Uz compinit; compinit -u; eval "$(magkit completion zsh)"'),
        ("zsh", 'setopt nounset ksharrays; eval "$(magkit completion zsh)"; setopt unset'),
    ],
)
def test_a_bare_shell_reads_the_script(terminal: Callable[..., Any], name: str, line: str) -> None:
    """Nothing has started completion: no package of bash's, no compinit."""
    session = terminal(name, read=line)
    assert session.press("magkit pre") == "magkit pretrain "
    assert session.press("magkit pretrain --method s") == "magkit pretrain --method scrl "


def test_a_bare_fish_reads_the_script(bare_fish: Any) -> None:
    assert bare_fish.offers("magkit pre") == {"pretrain"}
    assert bare_fish.offers("magkit pretrain --method ") == METHODS
