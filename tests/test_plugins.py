"""Plugins as they are found on people's machines: sound, broken, rude and at odds."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from textwrap import dedent
from typing import Any

import pytest

from magkit import MagnifierSpec, MethodSpec, TargetSpec
from magkit.cli import run
from magkit.errors import MagkitError, UsageError
from magkit.plugins import Plugin, Registry, discover
from magkit.plugins import registry as cached

Magkit = Callable[..., "CompletedProcess[str]"]

METHOD = """
    from dataclasses import dataclass
    from magkit import MethodSpec, hookimpl

    @dataclass(frozen=True)
    class Config:
        size: int = 3

    def build(config, channels):
        raise AssertionError("listing builds nothing")

    @hookimpl
    def magkit_methods():
        return [MethodSpec(name="mine", summary="Mine.", config=Config, build=build)]
"""


def registry() -> Registry:
    return Registry(tuple(discover()))


def plugin(name: str) -> Plugin:
    return next(found for found in discover() if found.distribution == name)


def test_the_built_ins_come_first_and_are_sound() -> None:
    first = registry().plugins[0]
    assert (first.distribution, first.state, first.error) == ("magkit", "ok", "")
    assert first.hooks == ["magkit_methods", "magkit_targets", "magkit_magnifiers"]
    assert [spec.name for spec in first.specs] == [
        *("moco", "byol", "scrl", "warp", "photometric"),
        *("maskrcnn-small", "maskrcnn", "maskrcnn-v2"),
        *("segmenter", "resnet-segmenter", "convnext-segmenter", "shuffle-segmenter"),
        *("magnet-fast", "magnet", "linear", "phase", "colour"),
    ]


def providing(site: Any, kind: str) -> Any:
    """What a plugin gives that provides one thing of a kind, called "mine"."""
    code = METHOD.replace("MethodSpec", f"{kind.capitalize()}Spec")
    site.install("magkit-mine", code.replace("magkit_methods", f"magkit_{kind}s"), version="2.1")
    found = plugin("magkit-mine")
    assert (str(found), found.state, found.hooks) == ("magkit-mine 2.1", "ok", [f"magkit_{kind}s"])
    meant = [
        getattr(registry(), kind)(name) for name in ("mine", "magkit-mine/mine", "Magkit_Mine/mine")
    ]
    assert meant == [found.specs[0]] * 3
    return meant[0]


def test_magkit_methods(site: Any) -> None:
    spec = providing(site, "method")
    assert isinstance(spec, MethodSpec)
    assert spec.config().size == 3


def test_magkit_targets(site: Any) -> None:
    assert isinstance(providing(site, "target"), TargetSpec)


def test_magkit_magnifiers(site: Any) -> None:
    assert isinstance(providing(site, "magnifier"), MagnifierSpec)


BROKEN = {
    "import error": ("import no_such_module", "ModuleNotFoundError: No module named"),
    "syntax error": ("def", "SyntaxError"),
    "exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "error from its hook": (
        METHOD.replace("return [", "raise KeyError('gone'); return ["),
        "KeyError: 'gone'",
    ),
    "error in the middle of its hook": (
        METHOD.replace("return [", "yield from [").replace("build)]", "build), 1 / 0]"),
        "ZeroDivisionError",
    ),
    "another interface": (
        METHOD.replace("build=build", "build=build, api=9"),
        "'mine' is written for version 9 of the plugin interface, and this magkit has version 1",
    ),
    "no spec": (
        METHOD.replace("return [", "return ['mine'] or ["),
        "magkit_methods gives a str in place of a MethodSpec",
    ),
    "a bad name": (METHOD.replace('"mine"', '"Mine!"'), "is not lower-case letters"),
    "a changeable config": (
        METHOD.replace("(frozen=True)", ""),
        "config is not a frozen dataclass",
    ),
    "a config of unknown types": (
        METHOD.replace("size: int", "size: 'Gone'"),
        "the options of 'mine' can't be shown: NameError: name 'Gone' is not defined",
    ),
    "a summary that is no text": (
        METHOD.replace('"Mine."', "3"),
        "the summary of 'mine' is a int in place of a str",
    ),
    "a preset that is none": (
        METHOD.replace("build=build", "build=build, presets={'mild': 3}"),
        "'mild' of 'mine' is no Preset that says why in a str",
    ),
    "twice": (
        METHOD.replace("return [", "return 2 * ["),
        "it registers the method 'mine' twice",
    ),
    "an unknown hook": (
        METHOD.replace("magkit_methods", "magkit_metods"),
        "magkit has no hook 'magkit_metods'; did you mean 'magkit_methods'?",
    ),
    "no list": (
        METHOD.replace("return [", "return (").replace("build)]", "build))"),
        "magkit_methods gives a MethodSpec in place of a list of MethodSpec",
    ),
    "an exception of a kind of its own": (
        "class Odd(BaseException): pass\nraise Odd('bye')",
        "Odd: bye",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_recorded_and_stops_nothing_else(site: Any, case: str) -> None:
    code, error = BROKEN[case]
    site.install("magkit-bad", code)
    site.install("magkit-good", METHOD)
    bad = plugin("magkit-bad")
    assert bad.state == "broken"
    assert error in bad.error
    assert "\n" not in bad.error
    assert not bad.specs
    assert registry().method("mine").name == "mine"
    assert registry().magnifier("magnet").name == "magnet"


def test_a_broken_plugin_raises_where_authors_ask_for_it(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("magkit-bad", "import no_such_module")
    monkeypatch.setenv("MAGKIT_STRICT_PLUGINS", "1")
    with pytest.raises(ModuleNotFoundError):
        registry()


def test_a_plugin_that_exits_is_told_to_authors_too(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("magkit-bad", "raise SystemExit(0)")
    monkeypatch.setenv("MAGKIT_STRICT_PLUGINS", "1")
    with pytest.raises(MagkitError, match="the plugin bad: SystemExit: 0"):
        registry()


def test_asking_for_what_is_broken_names_it_and_the_disable_hint(site: Any) -> None:
    site.install("magkit-bad", "import no_such_module", version="0.3")
    with pytest.raises(UsageError) as caught:
        registry().method("magkit-bad/mine")
    assert "the plugin magkit-bad 0.3 is broken: ModuleNotFoundError" in caught.value.message
    assert caught.value.hint == "MAGKIT_DISABLE_PLUGINS=magkit-bad switches it off"
    with pytest.raises(UsageError) as caught:
        registry().method("mine")
    assert "broken, see 'magkit plugins': magkit-bad 0.3" in caught.value.hint


def test_an_entry_point_s_name_means_what_is_broken(site: Any) -> None:
    site.install("magkit-bad", "import no_such_module", version="0.3")
    with pytest.raises(UsageError, match=r"'bad': the plugin magkit-bad 0\.3 is broken"):
        registry().target("bad")


def test_a_hook_that_may_be_missing_may_be_unknown(site: Any) -> None:
    optional = """
        @hookimpl(optionalhook=True)
        def magkit_wishes():
            return []
    """
    site.install("magkit-mine", dedent(METHOD) + dedent(optional))
    assert plugin("magkit-mine").state == "ok"


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", f"SystemExit({128 + signal.SIGTERM})"])
def test_whoever_ends_magkit_while_a_plugin_is_loaded_ends_it(site: Any, raised: str) -> None:
    site.install("magkit-bad", f"raise {raised}")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        registry()


def test_built_ins_cannot_be_shadowed(site: Any) -> None:
    site.install(
        "magkit-mine",
        METHOD.replace("MethodSpec", "MagnifierSpec")
        .replace("magkit_methods", "magkit_magnifiers")
        .replace('"mine"', '"magnet"'),
    )
    found = registry()
    assert found.magnifier("magnet").summary != "Mine."
    assert found.magnifier("magkit/magnet") is found.magnifier("magnet")
    assert found.magnifier("magkit-mine/magnet").summary == "Mine."
    assert {"magnet-fast", "magnet", "magkit-mine/magnet"} <= set(found.names("magnifier"))


def test_a_name_that_two_provide_is_refused_with_both(site: Any) -> None:
    site.install("magkit-one", METHOD)
    site.install("magkit-two", METHOD, version="2.0")
    found = registry()
    with pytest.raises(UsageError) as caught:
        found.method("mine")
    words = caught.value.message + caught.value.hint
    for word in ("magkit-one 1.0", "magkit-two 2.0", "'magkit-one/mine'", "'magkit-two/mine'"):
        assert word in words
    assert "MAGKIT_DISABLE_PLUGINS=magkit-" in caught.value.hint
    assert found.method("magkit-two/mine").name == "mine"
    mine = {name for name in found.names("method") if name.endswith("mine")}
    assert mine == {"magkit-one/mine", "magkit-two/mine"}


def test_two_plugins_of_one_distribution_cannot_share_a_name(site: Any) -> None:
    twice = "[magkit]\nfirst = magkit_mine\nsecond = magkit_mine\n"
    site.install("magkit-mine", METHOD, entry_points=twice)
    first, second = (found for found in discover() if found.distribution == "magkit-mine")
    assert (first.state, second.state) == ("ok", "broken")
    assert second.error == "it registers the method 'mine' twice"


def test_what_it_prints_while_it_is_loaded_stays_off_standard_output(
    site: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("magkit-loud", "    print('hello')\n" + METHOD)
    assert plugin("magkit-loud").printed == "hello\n"
    assert capsys.readouterr().out == ""


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        registry().magnifier("magnt")
    assert caught.value.message == "no magnifier is named 'magnt'"
    assert caught.value.hint.startswith("did you mean 'magnet'?")


def states(found: Registry) -> dict[str, str]:
    return {p.name: p.state for p in found.plugins if p.name in ("builtin", "one", "two")}


@pytest.mark.parametrize(
    ("variable", "value", "one", "two"),
    [
        ("MAGKIT_PLUGINS", "", "disabled", "disabled"),
        ("MAGKIT_PLUGINS", "one", "ok", "disabled"),
        ("MAGKIT_PLUGINS", "magkit_one, two", "ok", "ok"),
        ("MAGKIT_DISABLE_PLUGINS", "", "ok", "ok"),
        ("MAGKIT_DISABLE_PLUGINS", "magkit-one", "disabled", "ok"),
        ("MAGKIT_DISABLE_PLUGINS", "one,two", "disabled", "disabled"),
    ],
)
def test_switches(
    site: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, one: str, two: str
) -> None:
    site.install("magkit-one", METHOD)
    site.install("magkit-two", METHOD.replace('"mine"', '"yours"'))
    monkeypatch.setenv(variable, value)
    assert states(registry()) == {"builtin": "ok", "one": one, "two": two}


def test_a_plugin_that_is_switched_off_is_not_imported(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("magkit-bad", "raise AssertionError")
    monkeypatch.setenv("MAGKIT_DISABLE_PLUGINS", "bad")
    assert plugin("magkit-bad").state == "disabled"
    with pytest.raises(UsageError, match=r"magkit-bad 1\.0 is switched off"):
        registry().method("magkit-bad/mine")


def test_packages_with_unreadable_entry_points_stop_nothing(site: Any) -> None:
    site.install("unrelated", "", entry_points="[console_scripts\nnonsense")
    site.install("magkit-torn", "", entry_points="[magkit]\nnonsense\n")
    site.install("magkit-good", METHOD)
    assert registry().method("mine").name == "mine"
    torn = plugin("magkit-torn")
    assert torn.state == "broken"
    assert torn.error.startswith("its entry_points.txt can't be read")


def test_packages_whose_entry_points_are_no_text_stop_nothing(site: Any) -> None:
    site.install("unrelated", "")
    (site.path / "unrelated-1.0.dist-info" / "entry_points.txt").write_bytes(b"[a]\nb = \xff\xfe\n")
    site.install("magkit-good", METHOD)
    assert registry().method("mine").name == "mine"


FAILING = METHOD.replace('raise AssertionError("listing builds nothing")', "return 1 / 0")
NAMED = METHOD.replace("build=build", "build='magkit_bad:{}'")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (FAILING, "ZeroDivisionError: division by zero"),
        (FAILING.replace("build=build", "build='magkit_bad:build'"), "ZeroDivisionError"),
        (NAMED.format("Config"), "TypeError"),  # which the plugin's own code doesn't raise
    ],
)
def test_what_fails_at_work_is_told_as_its_own(
    site: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
    problem: str,
) -> None:
    site.install("magkit-bad", code, version="0.3")
    said = failed(tmp_path, monkeypatch, capsys)
    assert f"magkit: the plugin magkit-bad 0.3 failed: {problem}" in said
    assert "MAGKIT_DISABLE_PLUGINS=magkit-bad switches it off" in said
    assert "report it" not in said


def test_a_name_that_leads_nowhere_is_told_of_its_plugin(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("magkit-bad", NAMED.format("gone"))
    assert "the plugin magkit_bad is broken" in failed(tmp_path, monkeypatch, capsys)


def failed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a training by the method "mine" says, which fails."""
    monkeypatch.chdir(folder)
    tiny = ["--scenes", "8", "--batch", "4", "--size", "32", "--train", "frame=40"]
    cached.cache_clear()
    try:
        assert run(["pretrain", "--method", "mine", *tiny, "--device", "cpu"]) == 1
        return capsys.readouterr().err
    finally:
        cached.cache_clear()


def test_what_fails_elsewhere_is_nobody_s(site: Any) -> None:
    site.install("magkit-bad", METHOD)
    found = registry()
    with pytest.raises(UsageError) as caught:
        found.method("no-such-method")
    assert found.raised_by(caught.value) is None


def test_the_list_shows_state_and_reason(site: Any, magkit: Magkit) -> None:
    site.install("magkit-good", METHOD)
    site.install("magkit-bad", "import no_such_module", version="0.3")
    site.install("magkit-loud", "print('hello')")
    shown = magkit("plugins", env=site.env)
    assert shown.returncode == 0
    assert "magkit-good 1.0 (good)  ok\n  method     mine\n" in shown.stdout
    assert "magkit-bad 0.3: ModuleNotFoundError" in shown.stderr
    assert "MAGKIT_DISABLE_PLUGINS=magkit-bad switches it off" in shown.stderr
    loud = "it printed while it was loaded: 'hello'; MAGKIT_DISABLE_PLUGINS=magkit-loud switches"
    assert f"magkit-loud 1.0: {loud}" in shown.stderr
    assert "magkit-loud 1.0: it provides nothing" in shown.stderr

    listed = json.loads(magkit("plugins", "--json", env=site.env).stdout)["plugins"]
    by_name = {one["distribution"]: one for one in listed}
    assert by_name["magkit-good"]["provides"] == [{"kind": "method", "name": "mine"}]
    assert by_name["magkit-good"]["hooks"] == ["magkit_methods"]
    assert by_name["magkit-bad"]["state"] == "broken"
    assert by_name["magkit-bad"]["version"] == "0.3"
    assert by_name["magkit-loud"]["printed"] == "hello\n"


def test_what_shares_a_name_is_told_by_its_full_one(site: Any) -> None:
    site.install("magkit-one", METHOD)
    site.install("magkit-two", METHOD.replace('"mine"', '"moco"'))
    site.install("magkit-three", METHOD)
    found = registry()
    said = {p.distribution: list(found.name_conflicts(p)) for p in found.plugins}
    assert said["magkit"] == []
    assert said["magkit-one"] == [
        "magkit-three 1.0 has a method 'mine' too: ask for 'magkit-one/mine'"
    ]
    assert said["magkit-two"] == [
        "magkit itself has a method 'moco' too: ask for 'magkit-two/moco'"
    ]
