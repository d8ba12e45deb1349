"""The text of --frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.invert.davis import choose_frames


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", list(range(40))),
        (" ALL ", list(range(40))),
        ("first", [0]),
        ("7", [7]),
        ("0-9", list(range(10))),
        ("0,5", [0, 5]),
        ("5,0,5", [0, 5]),
        ("30 - 32, 0-2 ,1-3,20", [0, 1, 2, 3, 20, 30, 31, 32]),
        ("007", [7]),
        ("39-39", [39]),
    ],
)
def test_what_is_asked_for(text: str, expected: list[int]) -> None:
    assert choose_frames(text, 40) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "0,", "-5", "0--5", "1-", "1-2-3", "0 5", "0\n5"),
        *("a", "1.5", "0x1", "+1", "1e1", "first,5", "last"),
        *("\N{ARABIC-INDIC DIGIT THREE}", "9" * 5000, "0-" + "9" * 5000),
    ],
)
def test_what_is_no_choice(text: str) -> None:
    with pytest.raises(UsageError, match="is no choice of frames") as refused:
        choose_frames(text, 40)
    assert len(refused.value.message) < 120
    assert "0-9" in refused.value.hint


def test_a_span_that_runs_backwards() -> None:
    with pytest.raises(UsageError, match="9-0 run backwards") as refused:
        choose_frames("9-0", 40)
    assert "0-9" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("90-99", "frames 90-99 are asked for, and 'bear' has 82"),
        ("82", "frame 82 is asked for, and 'bear' has 82"),
        ("0-82", "frames 0-82 are"),
        ("0,5,0-99999999999", "frames 0-99999999999 are"),
    ],
)
def test_frames_that_are_not_there(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        choose_frames(text, 82, "bear")
    assert refused.value.hint == "they are numbered from 0 to 81"


def test_a_clip_of_one_frame_without_a_name() -> None:
    with pytest.raises(UsageError, match="frame 1 is asked for, and the clip has 1") as refused:
        choose_frames("1", 1)
    assert refused.value.hint == "it is frame 0"


def test_many_spans_over_a_long_clip_are_walked_once() -> None:
    # One after the other they would be 10^10 frames.
    assert choose_frames(",".join(["0-99999"] * 100_000), 100_000) == list(range(100_000))


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), min_size=1)


@given(SPANS, st.integers(1, 61))
def test_any_list_of_spans_is_their_union(spans: list[list[int]], count: int) -> None:
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    wanted = {n for a, b in spans for n in range(a, b + 1)}
    if max(wanted) < count:
        assert choose_frames(text, count) == sorted(wanted)
    else:
        with pytest.raises(UsageError, match="asked for"):
            choose_frames(text, count)


@given(st.text("0123456789-, al", max_size=12), st.integers(1, 30))
def test_any_text_is_a_choice_or_refused(text: str, count: int) -> None:
    try:
        chosen = choose_frames(text, count)
    except UsageError:
        return
    assert chosen
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(count))
