"""Settings of views, from texts and within bounds."""

import pytest

from magkit.errors import UsageError
from magkit.options import option_rows, parse_options
from magkit.selfsup.recipe import ViewConfig


def test_pairs_are_texts_of_two_numbers() -> None:
    asked = ["size=64", "scale=.5,1", "solarize=0,0.2", "blur=1,.1"]
    config = parse_options(ViewConfig, asked, "views")
    assert (config.size, config.scale) == (64, (0.5, 1.0))
    assert (config.blur, config.solarize) == ((1.0, 0.1), (0.0, 0.2))


def test_every_option_has_a_help_row() -> None:
    assert all(row.help for row in option_rows(ViewConfig))


@pytest.mark.parametrize(
    "pair",
    [
        "size=4",
        "scale=0,1",
        "scale=.8,.2",
        "ratio=1.1,2",
        "sigma=0,1",
        "hue=.6",
        "contrast=1.5",
        "flip=2",
        "jitter=.5,-1",
        "grey=.5",
        "blur=nan,0",
    ],
)
def test_what_can_not_be_is_refused(pair: str) -> None:
    with pytest.raises(UsageError):
        parse_options(ViewConfig, [pair], "views")
