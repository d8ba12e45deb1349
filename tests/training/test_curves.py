"""Curves of what was measured: where they are drawn, and what is left out."""

import numpy as np

from magkit.training.metrics import HEIGHT, LINE, WIDTH, curves


def drawn(image: np.ndarray) -> np.ndarray:
    return np.argwhere((image == LINE).all(-1))


def test_a_rising_curve_runs_from_the_lower_left_to_the_upper_right() -> None:
    lines = [{"step": step, "loss": step / 10, "odd": None} for step in range(1, 2001)]
    image = np.asarray(curves(lines, ["loss", "odd", "missing"]))
    assert image.shape == (HEIGHT, 2 * WIDTH, 3)
    places = drawn(image)
    left, right = places[places[:, 1].argmin()], places[places[:, 1].argmax()]
    assert left[0] - right[0] > HEIGHT / 2
    assert right[1] - left[1] > WIDTH * 0.7
    assert not (drawn(image)[:, 1] >= WIDTH).any(), "what was never measured has no chart"


def test_a_constant_a_single_and_an_infinite_value_are_drawn_or_left_out() -> None:
    lines = [{"step": 1, "a": 3.0, "b": float("inf")}, {"step": 5, "a": 3.0}]
    image = np.asarray(curves(lines, ["a", "b"]))
    assert len(drawn(image)) > WIDTH / 2
    assert not (drawn(image)[:, 1] >= WIDTH).any()
    assert len(drawn(np.asarray(curves(lines[:1], ["a"])))) > 0
    assert not len(drawn(np.asarray(curves([], ["a"]))))
