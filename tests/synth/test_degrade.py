"""Noise and coding: as they are defined, on A, B and C alone, the same whenever asked for."""

import dataclasses
import io

import numpy as np
import torch
from PIL import Image

from magkit.synth.render import Sources
from magkit.synth.scene import SceneConfig
from magkit.synth.stream import SceneBatches
from magkit.synth.triplets import QUALITIES, Degradation, Triplets, add_photon_noise, add_read_noise
from magkit.synth.triplets import compress_jpeg as code


def flat(values: torch.Tensor) -> Triplets:
    """Return scenes of one grey each, 200 x 200."""
    grey = values[:, None, None, None].expand(-1, 3, 200, 200)
    return Triplets(**dict.fromkeys("abcm", grey), factor=values, motion=grey, moving=grey)


def equal(one: Triplets, other: Triplets) -> bool:
    fields = [field.name for field in dataclasses.fields(Triplets)]
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in fields)


def test_read_noise_is_the_same_in_the_dark_and_in_the_light() -> None:
    frames = flat(torch.linspace(0.2, 0.8, 6))
    noisy = add_read_noise(frames, torch.Generator().manual_seed(0), 0.02)
    assert torch.equal(noisy.m, frames.m)
    amounts = torch.rand(6, 1, 1, 1, generator=torch.Generator().manual_seed(0)).flatten() * 0.02
    for name in "abc":
        spread = (getattr(noisy, name) - frames.m).std((1, 2, 3))
        torch.testing.assert_close(spread, amounts, rtol=0.02, atol=1e-5)
    assert not torch.equal(noisy.b, noisy.c)


def test_noise_is_that_of_photons_and_spares_the_truth() -> None:
    frames = flat(torch.linspace(0.2, 0.8, 6))
    grey = frames.m
    noisy = add_photon_noise(frames, torch.Generator().manual_seed(0), 0.3)
    again = add_photon_noise(frames, torch.Generator().manual_seed(0), 0.3)
    assert equal(noisy, again)
    assert torch.equal(noisy.m, grey)
    amounts = torch.rand(6, 1, 1, 1, generator=torch.Generator().manual_seed(0)) * 0.3
    for name in "abc":
        spread = (getattr(noisy, name) - grey).std((1, 2, 3))
        exact = (amounts * (2 * grey / 127.5).sqrt() / 2).mean((1, 2, 3))
        torch.testing.assert_close(spread, exact, rtol=0.02, atol=1e-5)
    assert not torch.equal(noisy.a, noisy.b)


def test_coding_is_that_of_jpeg_and_spares_the_truth(procedural: Sources) -> None:
    frames = SceneBatches(SceneConfig(size=64), procedural, seed=3, batch=4, steps=1)[0]
    coded = code(frames, torch.Generator().manual_seed(0), 1.0)
    assert torch.equal(coded.m, frames.m)
    draws = torch.Generator().manual_seed(0)
    torch.rand(4, generator=draws)
    qualities = torch.randint(*QUALITIES, (4,), generator=draws).tolist()
    for index, quality in enumerate(qualities):
        for name in "abc":
            pixels = (getattr(frames, name)[index] * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", quality=quality)
            exact = np.asarray(Image.open(file)) / np.float32(255)
            made = getattr(coded, name)[index].permute(1, 2, 0).numpy()
            assert np.abs(made - exact).max() < 2.5 / 255
            assert np.abs(made - pixels / 255).max() > 1 / 255


def test_a_share_of_scenes_is_coded(procedural: Sources) -> None:
    config = SceneConfig(size=16, objects=(0, 1))
    plain = SceneBatches(config, procedural, seed=3, batch=200, steps=2)
    coded = SceneBatches(
        config, procedural, seed=3, batch=200, steps=2, degradation=Degradation(noise=0, coded=0.4)
    )
    changed = (coded[0].b != plain[0].b).flatten(1).any(1)
    assert 0.25 < changed.float().mean() < 0.55
    assert torch.equal(changed, (coded[0].a != plain[0].a).flatten(1).any(1))
    assert equal(coded[1], coded[1])
