"""Units against their definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.measure.units import check_unit, converted, length_unit, parse_scale


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("10,40,310,40=120mm", 0.4),
        ("0,0,30,40=5cm", 1.0),
        ("0,0,0,254=1in", 0.1),
        ("0,0,0,254=1000mil", 0.1),
        ("0,0,1000,0=1m", 1.0),
        ("0,0,100,0=250um", 0.0025),
        ("4px/mm", 0.25),
        ("100px/in", 0.254),
        (" 0.5,0,10.5,0 = 10 mm ", 1.0),
    ],
)
def test_scales(text: str, scale: float) -> None:
    assert parse_scale(text) == pytest.approx(scale, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        *("", "4", "px/mm", "0px/mm", "-3px/mm", "infpx/mm", "1,1,1,1=3mm", "1,2,3=3mm"),
        *("0,0,3,4=0mm", "0,0,3,4=-1mm", "0,0,3,4=2ft", "0,0,3,4=mm", "0,0,nan,4=2mm"),
        "a,b,c,d=1mm",
    ],
)
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no scale"):
        parse_scale(text)


@given(st.floats(1e-6, 1e3), st.floats(0.01, 1e4), st.floats(1e-4, 10))
def test_velocity_and_acceleration_are_derivatives_of_the_sine(
    pixels: float, frequency: float, scale: float
) -> None:
    omega = 2 * math.pi * frequency
    mm = pixels * scale

    def of(unit: str, reading: str = "peak") -> float:
        return converted(pixels, frequency, unit, scale, reading)  # type: ignore[arg-type]

    assert of("um") == pytest.approx(mm * 1000, rel=1e-9)
    assert of("mil") == pytest.approx(mm / 0.0254, rel=1e-9)
    assert of("in") == pytest.approx(mm / 25.4, rel=1e-9)
    assert of("mm/s") == pytest.approx(mm * omega, rel=1e-9)
    assert of("in/s") == pytest.approx(mm * omega / 25.4, rel=1e-9)
    assert of("g") == pytest.approx(mm * omega**2 / 9806.65, rel=1e-9)
    assert of("px") == pixels
    assert of("mm", "pp") == pytest.approx(2 * mm, rel=1e-9)
    assert of("mm", "rms") == pytest.approx(mm / math.sqrt(2), rel=1e-9)


def test_waveforms_are_lengths() -> None:
    assert length_unit("px", None) == length_unit("px", 0.1) == length_unit("mm", None) == ("px", 1)
    name, factor = length_unit("um", 0.1)
    assert name == "um"
    assert factor == pytest.approx(100)
    assert length_unit("g", 0.1) == ("mm", 0.1)
    assert length_unit("in/s", 25.4) == ("in", 1.0)


def test_units_are_checked() -> None:
    check_unit("px", None)
    check_unit("um", 0.1)
    with pytest.raises(UsageError, match="needs the size of a pixel"):
        check_unit("um", None)
    with pytest.raises(UsageError, match="is no unit"):
        check_unit("ums", 0.1)
