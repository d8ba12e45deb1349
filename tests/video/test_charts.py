"""Curves of what was measured: where they are drawn, and what is left out."""

import numpy as np

from magkit.video.charts import COLOUR, CURVE_HEIGHT, CURVE_WIDTH, draw_curves


def drawn(image: np.ndarray) -> np.ndarray:
    return np.argwhere((image == COLOUR).all(-1))


def test_a_rising_curve_runs_from_the_lower_left_to_the_upper_right() -> None:
    lines = [{"step": step, "loss": step / 10, "odd": None} for step in range(1, 2001)]
    image = np.asarray(draw_curves(lines, ["loss", "odd", "missing"]))
    assert image.shape == (CURVE_HEIGHT, 2 * CURVE_WIDTH, 3)
    places = drawn(image)
    left, right = places[places[:, 1].argmin()], places[places[:, 1].argmax()]
    assert left[0] - right[0] > CURVE_HEIGHT / 2
    assert right[1] - left[1] > CURVE_WIDTH * 0.7
    assert not (drawn(image)[:, 1] >= CURVE_WIDTH).any(), "what was never measured has no chart"


def test_a_constant_a_single_and_an_infinite_value_are_drawn_or_left_out() -> None:
    lines = [{"step": 1, "a": 3.0, "b": float("inf")}, {"step": 5, "a": 3.0}]
    image = np.asarray(draw_curves(lines, ["a", "b"]))
    assert len(drawn(image)) > CURVE_WIDTH / 2
    assert not (drawn(image)[:, 1] >= CURVE_WIDTH).any()
    assert len(drawn(np.asarray(draw_curves(lines[:1], ["a"])))) > 0
    assert not len(drawn(np.asarray(draw_curves([], ["a"]))))
