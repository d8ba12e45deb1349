"""Statistics of frames that were made before count beside a frame's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.invert.frames_on_disk import read_image, to_image
from magkit.invert.job import Job, invert
from magkit.invert.optimizer import FrameOptimizer
from magkit.invert.priors import normalize
from magkit.invert.settings import make_settings
from magkit.invert.statistics import (
    bn_statistics,
    moments,
    moments_distance,
    moments_over_images,
    pool_moments,
    record_moments,
)
from magkit.invert.targets.load import LoadedTarget, build_target


def test_moments_over_pictures_are_those_of_all_their_pixels(
    build_detector: Callable[..., Any],
) -> None:
    target, pictures = build_detector(), [torch.rand(3, 64, 96) for _ in range(3)]
    layers = bn_statistics(target.model.backbone)[:1]
    found = moments_over_images(target.model.backbone, layers, pictures)[layers[0].name]
    whole = moments(target.model.backbone.stem[0](torch.stack(pictures)))
    torch.testing.assert_close(found.mean_C, whole.mean_C, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.variance_C, whole.variance_C, rtol=1e-4, atol=1e-6)


def test_frames_before_count_in_the_term(small: Callable[..., Job], tmp_path: Path) -> None:
    job = small({"bn_history": 1, "bn": 1.0}, frames="0-1")
    done = invert(job, output=tmp_path / "run")
    plan, target = done.plans[0], build_target(job.targets[0], torch.device("cpu"))
    chosen = LoadedTarget("segmenter", target, 1.0, target.statistics())
    maker = FrameOptimizer(plan, [chosen], plan.folder(done.run.folder), torch.device("cpu"))
    asked, x = [plan.annotations(1)], torch.randn(1, 3, *plan.size)
    alone = maker.objective(asked, None, plan.settings).terms(x)["bn"]
    recalled = maker.objective(asked, None, plan.settings, ["00000"]).terms(x)["bn"]
    frame = read_image(maker.folder.frame("00000"))
    with record_moments(chosen.statistics) as seen:
        target.predict(to_image(x[0])[None])
        now = dict(seen.of)
        target.predict(frame[None])
    pooled = {name: pool_moments(m, seen.of[name], 0.5) for name, m in now.items()}
    inside = maker.objective(asked, None, plan.settings, ["00000"]).terms(
        normalize(to_image(x[0])[None])
    )
    assert float(alone) != pytest.approx(float(recalled), rel=1e-3)
    assert float(inside["bn"]) == pytest.approx(
        float(moments_distance(chosen.statistics, pooled)), rel=1e-4
    )


def test_what_is_recalled_is_of_the_same_segment(small: Callable[..., Job], tmp_path: Path) -> None:
    done = invert(small(frames="0-4"), output=tmp_path / "run")  # keyframes: 0, 2, 4
    plan = done.plans[0]
    maker = FrameOptimizer(plan, [], plan.folder(done.run.folder), torch.device("cpu"))
    settings = small({"bn_history": 3}).settings
    three = make_settings("fast", settings)
    assert maker._history(3, three) == ["00002"]
    assert maker._history(2, three) == []
    assert maker._history(1, make_settings("fast")) == []
