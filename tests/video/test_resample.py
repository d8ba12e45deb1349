"""Frames at a constant rate, against a search for the frame that is shown at each time."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.video.encode import frame_header, stream_header
from magkit.video.info import plain_info, resample, resampled_info


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(5, 2)]),
)
def test_the_frame_that_is_shown_is_taken(steps: list[int], rate: Fraction) -> None:
    times = np.concatenate([[0], np.cumsum(steps)]) / 1000
    frames = [np.full((1, 1, 3), number, np.uint8) for number in range(len(steps))]
    made = [int(frame[0, 0, 0]) for frame in resample(frames, times.tolist(), rate)]
    instants = [float(n / rate) for n in range(len(made) + 1)]
    # Half a millisecond from a change both neighbours are right.
    for number, instant in zip(made, instants, strict=False):
        assert times[number] - 5e-4 <= instant < times[number + 1] + 5e-4
    assert instants[-1] >= times[-1] - 5e-4
    info = plain_info(1, 1, Fraction(10), len(steps))
    object.__setattr__(info, "times", tuple(times))
    told = resampled_info(info, rate)
    assert (told.frames, told.rate, told.times) == (len(made), rate, None)


def test_the_header_of_a_frame_covers_it() -> None:
    """Sizes of nested elements, added up by hand: what is left out of each is what precedes it."""
    header = frame_header(0.5, 0.75, 1000)
    assert header[:4].hex() == "1f43b675"
    assert int.from_bytes(header[5:12], "big") == len(header) - 12 + 1000
    assert (500_000_000).to_bytes(8, "big") in header
    assert (250_000_000).to_bytes(8, "big") in header


def test_pixels_that_have_no_code_are_refused() -> None:
    with pytest.raises(KeyError):
        stream_header(2, 2, "bgr24")
