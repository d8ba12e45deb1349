"""Training of students: reproducible, and it learns what pictures show."""

import numpy as np
import pytest
import torch

from magkit.student.held_out import HeldOutFrame
from magkit.student.pictures import Labelled, hard_shares
from magkit.student.train import (
    StudentConfig,
    augmented,
    drawn,
    losses,
    measure,
    seeded_network,
    train_student,
)

CLASSES = ("bear", "dog")
CPU = torch.device("cpu")


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor, str]:
    """A bright or dark box on grey noise, its mask and class."""
    rng = torch.Generator().manual_seed(seed)
    image = 0.5 + 0.1 * torch.randn(3, 32, 48, generator=rng)
    top, left = (int(torch.randint(2, high, (), generator=rng)) for high in (14, 26))
    mask = torch.zeros(32, 48, dtype=torch.bool)
    mask[top : top + 16, left : left + 18] = True
    label, colour = (("bear", (0.95, 0.8, 0.8)), ("dog", (0.1, 0.1, 0.2)))[seed % 2]
    return torch.where(mask, torch.tensor(colour)[:, None, None], image).clamp(0, 1), mask, label


def pictures(count: int) -> list[Labelled]:
    made = [scene(n) for n in range(count)]
    return [
        Labelled(str(n), image, hard_shares([(label, mask)], CLASSES, (32, 48)))
        for n, (image, mask, label) in enumerate(made)
    ]


def held_out(count: int) -> list[HeldOutFrame]:
    made = [scene(100 + n) for n in range(count)]
    return [HeldOutFrame("v", str(n), True, lab, im, m) for n, (im, m, lab) in enumerate(made)]


SMALL = StudentConfig(steps=100, batch=4, rows=32)


def test_it_learns_what_is_shown() -> None:
    found = train_student(pictures(8), held_out(6), CLASSES, SMALL, 0, CPU)
    assert list(found) == [25, 50, 100]
    assert np.mean(found[100]) > 0.6
    swapped = [
        Labelled(each.name, each.image_3HW, each.shares_CHW[[0, 2, 1]]) for each in pictures(8)
    ]
    wrong = train_student(swapped, held_out(6), CLASSES, SMALL, 0, CPU)
    assert np.mean(wrong[100]) < 0.2, "another class is not right"


def test_students_are_reproducible() -> None:
    config = StudentConfig(steps=2, batch=2, rows=32)
    torch.manual_seed(5)
    first = train_student(pictures(3), held_out(2), CLASSES, config, 1, CPU)
    state = torch.random.get_rng_state()
    torch.manual_seed(6)
    again = train_student(pictures(3), held_out(2), CLASSES, config, 1, CPU)
    assert first == again
    torch.manual_seed(5)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator is left alone"
    one, two = (drawn(pictures(3), 4, s, 0) for s in (1, 2))
    assert not torch.equal(one[0], two[0])


def test_labels_move_with_the_picture() -> None:
    """A bright square on black is where its label is, and stays as wide as high."""
    for height, width in ((64, 112), (64, 64), (112, 64)):
        mask = torch.zeros(height, width, dtype=torch.bool)
        mask[20:44, 20:44] = True
        image = mask.float().expand(3, -1, -1).contiguous()
        shares = hard_shares([("bear", mask)], CLASSES, (height, width))
        aspects, agreed = [], []
        for seed in range(30):
            torch.manual_seed(seed)
            shown, moved = augmented(Labelled("a", image, shares))
            assert shown.shape == moved.shape == (3, height, width)
            assert torch.all((moved.sum(0) - 1).abs() < 1e-5)
            seen = shown.mean(0) > shown.mean(0).amax() / 2
            label = moved[1] > 0.5
            agreed.append((seen & label).sum() / (seen | label).sum())
            rows, columns = label.any(1).sum(), label.any(0).sum()
            if 2 < rows < height - 2 and 2 < columns < width - 2:
                aspects.append(columns / rows)
        assert np.mean(agreed) > 0.85
        assert np.median(aspects) == pytest.approx(1, abs=0.2)


def test_losses_are_their_formulas() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=rng)
    shares = torch.rand(2, 3, 8, 8, generator=rng).softmax(1)
    shares[1, 1:] = 0
    shares[1, 0] = 1
    found = losses(torch.nn.Identity(), logits, shares)
    p, q = logits.double().softmax(1).numpy(), shares.double().numpy()
    entropy = -(q * np.log(p)).sum(1).mean()
    dice = 1 - (2 * (p * q).sum((2, 3)) + 1) / (p.sum((2, 3)) + q.sum((2, 3)) + 1)
    assert found["entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert found["overlap"].item() == pytest.approx(dice[0, 1:].mean(), rel=1e-5)


def test_the_network() -> None:
    network = seeded_network(4, 0)
    assert network(torch.rand(2, 3, 32, 64)).shape == (2, 4, 32, 64)
    again, other = seeded_network(4, 0), seeded_network(4, 1)
    assert torch.equal(network.network.classify.weight, again.network.classify.weight)
    assert not torch.equal(network.network.classify.weight, other.network.classify.weight)


def test_j_is_measured_at_the_frames_size() -> None:
    (frame,) = held_out(1)
    large = HeldOutFrame(
        "v",
        "large",
        True,
        frame.label,
        frame.image_3HW.repeat_interleave(3, 1).repeat_interleave(3, 2),
        frame.mask_HW.repeat_interleave(3, 0).repeat_interleave(3, 1),
    )

    class Bright(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            bright = 20 * (x.mean(1, keepdim=True) - 0.5)
            return torch.cat([torch.full_like(bright, 5), bright, -bright], 1)

    found = measure(Bright(), [frame, large], CLASSES, (32, 48), CPU)
    assert found[0] > 0.95
    assert found[1] == pytest.approx(found[0], abs=0.1)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rows": 100}, {"rows": 16}, {"batch": 0}])
def test_settings_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        StudentConfig(**wrong)
