"""`magkit plan` from end to end."""

import json

import pytest

from magkit.cli import run

FIELD = ("--field", "500", "--size", "1000x800")
ASKED = ("--fps", "250", "--frequency", "25")


def test_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", *FIELD, *ASKED, "--frequency", "300", "--amplitude", "4.5"]
    assert run([*arguments, "--exposure", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["um_per_px"] == pytest.approx(500)
    assert record["frames"] == 2500
    assert record["exposure_ms"] == pytest.approx(2)
    assert record["megabytes_per_second"] == pytest.approx({"8": 200, "12": 300})
    assert [each["texture"] for each in record["textures"]] == ["rich", "weak"]
    slow, fast = record["frequencies"]
    assert slow["frames_per_period"] == pytest.approx(10)
    assert slow["alias"] is None
    assert fast["alias"] == pytest.approx(50)
    assert slow["expected_px"] == pytest.approx(0.0405 / 0.5, rel=1e-3)
    assert [each["seen"] for each in slow["detections"]] == [True, True]
    assert any("x264" in note for note in record["advice"])


@pytest.mark.parametrize(
    ("scale", "size"),
    [
        (("--length", "30", "--pixels", "120"), 250),
        (("--field", "500", "--width", "2000"), 250),
        (("--distance", "1", "--focal", "50", "--pixel-size", "5"), 95),
    ],
)
def test_scales(capsys: pytest.CaptureFixture[str], scale: tuple[str, ...], size: float) -> None:
    assert run(["plan", *scale, *ASKED, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["um_per_px"] == pytest.approx(size)


def test_tables_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", *FIELD, *ASKED, "--contrast", "4", "--amplitude", "1e-3", "--unit", "um"]
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    assert "200 MB/s" in shown
    assert "25 Hz, given texture: below the limit" in shown
    assert max(len(line) for line in shown.split("25 Hz")[0].splitlines()) <= 80


def test_an_exposure_of_whole_periods_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *FIELD, "--fps", "25", "--frequency", "25", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["frequencies"]
    assert found["detections"][0]["limit_px"] is None
    assert "not seen" in found["detections"][0]["verdict"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (ASKED, "the size of a pixel is not known"),
        (("--length", "3", *ASKED), "options that go together"),
        (("--size", "10x10", *ASKED), "the size of a pixel is not known"),
        ((*FIELD, "--pixels", "9", *ASKED), "in several ways"),
        (("--field", "nan", "--width", "9", *ASKED), "width of the view must be above 0"),
        (("--field", "9", "--width", "0", *ASKED), "number of pixels must be above 0"),
        ((*FIELD, "--frequency", "25"), "--fps"),
        ((*FIELD, "--fps", "25"), "--frequency"),
        ((*FIELD, "--fps", "0", "--frequency", "25"), "frame rate must be above 0"),
        ((*FIELD, "--fps", "nan", "--frequency", "25"), "frame rate must be above 0"),
        ((*FIELD, "--fps", "25", "--frequency", "-1"), "frequency must be above 0"),
        ((*FIELD, *ASKED, "--exposure", "4.1"), "longer than a frame"),
        ((*FIELD, *ASKED, "--exposure", "nan"), "exposure must be above 0"),
        ((*FIELD, *ASKED, "--amplitude", "0"), "amplitude must be above 0"),
        ((*FIELD, *ASKED, "--noise", "-1"), "noise must be above 0"),
        ((*FIELD, *ASKED, "--contrast", "0"), "contrast must be above 0"),
        ((*FIELD, *ASKED, "--seconds", "0.01"), "too short"),
        ((*FIELD, *ASKED, "--unit", "px"), "px"),
        (("--field", "500", "--size", "10", *ASKED), "no size"),
    ],
)
def test_refusals(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err
