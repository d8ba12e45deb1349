"""What the names of frames tell: their numbers, and which are missing or there twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import MagkitError
from magkit.video.frame_names import MissingNumbers, find_missing, index_by_name, summarize


def paths(*names: str) -> list[Path]:
    return [Path("f") / name for name in names]


@given(st.sets(st.integers(0, 300), min_size=1), st.integers(0, 5))
def test_what_is_missing_is_what_lies_between_and_is_not_there(
    there: set[int], digits: int
) -> None:
    missing = find_missing(paths(*(f"a{number:0{digits}d}.png" for number in there)))
    expected = sorted(set(range(min(there), max(there))) - there)
    assert missing.first(1000) == expected
    assert missing.count == len(expected)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["7.png"], []),
        (["a.png", "c.png"], []),
        (["take2_0001.png", "take2_0003.jpg"], [2]),
        (["0001_480p.png", "0003_480p.png"], [2]),
        (["0001_v2.png", "0002_v2.png", "0004_v3.png"], [3]),
        (["take1_1.png", "take1_2.png", "take2_3.png"], []),
        (["IMG_9.png", "IMG_0011.png"], [10]),
        (["12.png", "9_to_14.png"], [13]),
    ],
)
def test_the_number_of_a_frame_is_the_one_that_tells_frames_apart(
    names: list[str], missing: list[int]
) -> None:
    assert find_missing(paths(*names)).first(9) == missing


def test_a_gap_of_any_length_is_told_in_a_few_words() -> None:
    missing = find_missing(paths("0.png", f"{10**30}.png"))
    assert missing.count == 10**30 - 1
    assert str(missing) == f"1, 2, 3, 4, 5, ... ({10**30 - 1} in all)"
    assert str(MissingNumbers((range(3, 5), range(9, 10)))) == "3, 4, 9"


def test_few_of_many() -> None:
    assert summarize("abcde", 5) == "a, b, c, d, e"
    assert summarize("abcdef", 6) == "a, b, c, d, e, ... (6 in all)"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["00001.png", "1.jpg", "2.png"], r"00001\.png and 1\.jpg are both frame 1"),
        (["left_1.png", "left_2.png", "right_2.png"], r"left_2\.png and right_2\.png are both"),
        (["1.png", "2.png", "poster.png"], r"poster\.png has no frame number"),
        (["1.png", "a.png", "b.png"], r"a\.png has no frame number.* 2 "),
        (["1.png", "1.jpg", "2.png", "2.jpg"], r"1\.png and 1\.jpg are both frame 1.* 2 "),
    ],
)
def test_names_of_which_the_frame_is_in_doubt(names: list[str], sentence: str) -> None:
    with pytest.raises(MagkitError, match=sentence):
        find_missing(paths(*names))


def test_names_are_compared_without_suffix_and_leading_zeros() -> None:
    assert index_by_name(paths("a07_00.png", "B.jpg")).keys() == {"a7_0", "B"}
    with pytest.raises(MagkitError, match=r"a\.jpg and a\.png are both frame a"):
        index_by_name(paths("a.jpg", "a.png"))
