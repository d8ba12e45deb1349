"""Train the shipped networks for inversion: two that are inverted, and three verifiers.

    python recipes/inversion_networks.py maskrcnn-small --davis DAVIS --coco COCO -o RUN
    python recipes/inversion_networks.py segmenter --davis DAVIS --coco COCO -o RUN

DAVIS is the folder with JPEGImages/480p, COCO the one with train2017 and annotations.
`maskrcnn-small` and `resnet-segmenter` are trained on the even frames and pictures, `segmenter` on
the odd ones, the other verifiers on every second odd frame and the odd pictures: verifiers share no
picture with the networks that are inverted. After an interruption the same command resumes from
the last checkpoint. RUN/model.safetensors is the shipped file, in half precision.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from inversion_data import Batch, Pictures, coco_items, davis_items
from torch import nn
from torchvision.models.detection.image_list import ImageList

from magkit.invert import CLASSES
from magkit.invert.targets.maskrcnn_networks import maskrcnn_small
from magkit.invert.targets.segmenter import Segmenter
from magkit.invert.targets.segmenter_networks import (
    ConvNeXtSegmenter,
    ResNetSegmenter,
    ShuffleSegmenter,
)
from magkit.runtime.weights import to_storable, write_tensors
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState
from magkit.training.run import Run, made_with, open_run
from magkit.training.train import run_training
from magkit.version import __version__
from magkit.video.tiles import save_png

SIZES = ((128, 224), (160, 288), (192, 320), (256, 448))
SHARES = (0.35, 0.25, 0.2, 0.2)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SETTLED = 150  # batches of which the statistics of the averaged weights are taken anew


@dataclass(frozen=True)
class Network:
    """What is trained.

    Attributes:
        build: of the number of classes.
        frames: of each DAVIS video, the first and the step; pictures of COCO have the parity of
            the first.
        seed: of weights and draws.
    """

    build: Callable[[int], nn.Module]
    frames: tuple[int, int]
    seed: int


NETWORKS = {
    "maskrcnn-small": Network(maskrcnn_small, (0, 2), 0),
    "segmenter": Network(Segmenter, (1, 2), 1),
    "resnet-segmenter": Network(ResNetSegmenter, (0, 2), 4),
    "convnext-segmenter": Network(ConvNeXtSegmenter, (1, 4), 2),
    "shuffle-segmenter": Network(ShuffleSegmenter, (3, 4), 3),
}


def normalised(images_NCHW: torch.Tensor) -> torch.Tensor:
    """Return pictures normalised for the networks."""
    mean, std = (images_NCHW.new_tensor(v)[:, None, None] for v in (MEAN, STD))
    return ((images_NCHW - mean) / std).contiguous(memory_format=torch.channels_last)


def detector_losses(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Return Mask R-CNN's five losses, without torchvision's resizing."""
    images, targets = batch
    size = (images.shape[2], images.shape[3])
    maps = model.backbone(normalised(images))
    listed = ImageList(images, [size] * len(images))
    proposals, losses = model.rpn(listed, maps, targets)
    _, more = model.roi_heads(maps, proposals, listed.image_sizes, targets)
    return {**losses, **more}


def segmenter_losses(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return cross-entropy per pixel, and 1 minus Dice's coefficient of the foreground."""
    images, targets = batch
    logits = F.interpolate(model(normalised(images)), images.shape[2:], mode="bilinear")
    truth = torch.zeros(len(images), *images.shape[2:], dtype=torch.int64)
    for picture, target in zip(truth, targets, strict=True):
        for mask, label in zip(target["masks"], target["labels"], strict=True):
            picture[mask > 0] = label
    shares = logits.softmax(1)[:, 1:]
    exact = F.one_hot(truth, logits.shape[1]).movedim(3, 1)[:, 1:].float()
    both = (shares * exact).sum((2, 3))
    dice = 1 - (2 * both + 1) / (shares.sum((2, 3)) + exact.sum((2, 3)) + 1)
    present = exact.amax((2, 3)) > 0
    overlap = dice[present].mean() if present.any() else dice.sum() * 0
    return {"entropy": F.cross_entropy(logits, truth), "overlap": 0.5 * overlap}


class NetworkTask:
    """Batches of pictures of one of four sizes."""

    def __init__(self, name: str, pictures: Pictures, batch: int) -> None:
        self.name, self.pictures, self.batch = name, pictures, batch
        self.losses_of = detector_losses if name == "maskrcnn-small" else segmenter_losses

    def batches(self, start: int) -> Iterator[Sequence[Batch]]:
        """Yield the batches of steps `start` and on."""
        step = start
        while True:
            yield [self.drawn(step)]
            step += 1

    def drawn(self, step: int) -> Batch:
        """Return the batch of a step."""
        draw = torch.Generator().manual_seed(self.pictures.seed * 1_000_003 + step)
        number = int(torch.multinomial(torch.tensor(SHARES), 1, generator=draw))
        return self.pictures.batch(step, self.batch, SIZES[number])

    def before_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def losses(self, model: nn.Module, part: Batch) -> dict[str, torch.Tensor]:
        """Return the network's own terms."""
        return self.losses_of(model, part)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def evaluate(self, run: Run, _model: nn.Module, step: int) -> dict[str, float]:
        """Show pictures of the next batch, what is asked for brightened."""
        images, targets = self.drawn(step)
        shown = []
        for image, target in zip(images[:4], targets, strict=False):
            mask = target["masks"].amax(0) if len(target["masks"]) else torch.zeros(())
            shown.append(torch.cat([image, image * (0.4 + 0.6 * mask)], 2))
        save_png(run.samples / f"step-{step:06d}.png", torch.cat(shown, 1))
        return {}


def settle(model: nn.Module, task: NetworkTask) -> None:
    """Take the statistics of normalisation anew, as means over batches, for the final weights."""
    layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch's word for a plain mean
    model.train()
    with torch.no_grad():
        for step in range(SETTLED):
            images, _ = task.drawn(-1 - step)
            (model.backbone if task.name == "maskrcnn-small" else model)(normalised(images))  # type: ignore[operator]
    model.eval()


def export(run: Run, state: TrainState, task: NetworkTask) -> None:
    """Write the averaged weights in half precision."""
    settle(state.average, task)
    tensors = {
        name: to_storable(t.half() if t.is_floating_point() else t)
        for name, t in state.average.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    texts = {"target": task.name, "classes": json.dumps(CLASSES), "magkit": __version__}
    write_tensors(run.model, tensors, {**texts, "steps": str(state.step)})


def report(done: int, total: int | None) -> None:
    """Print every twentieth step."""
    if done % 20 == 0:
        print(f"{done} of {total}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train one of the networks."""
    parser = argparse.ArgumentParser(description="Train the networks that ship for inversion.")
    parser.add_argument("network", choices=list(NETWORKS))
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("magkit").setLevel(logging.INFO)
    chosen = NETWORKS[given.network]
    seed, (first, step) = chosen.seed, chosen.frames
    coco = coco_items(
        given.coco / "annotations/instances_train2017.json", given.coco / "train2017", first % 2
    )
    videos = davis_items(given.davis, first, step)
    task = NetworkTask(given.network, Pictures(videos, coco, seed), given.batch)
    config = TrainConfig(
        steps=given.steps,
        lr=given.lr,
        optimizer="adamw",
        weight_decay=0.02,
        warmup=100,
        final_lr_ratio=0.01,
        clip=5.0,
        ema=0.995,
        seed=seed,
        sample_every=1000,
    )
    torch.manual_seed(seed)
    model = chosen.build(len(CLASSES) + 1)
    model.to(memory_format=torch.channels_last)
    asked = {"network": given.network, "steps": given.steps, "batch": given.batch, "lr": given.lr}
    run = open_run("networks", asked, made_with=made_with("cpu"), output=given.output)
    run_training(
        run,
        TrainState.start(model, config),
        config,
        task,
        lambda state: export(run, state, task),
        title=f"training {given.network}, {sum(p.numel() for p in model.parameters()):,} weights",
        progress=report,
    )


if __name__ == "__main__":
    main()
