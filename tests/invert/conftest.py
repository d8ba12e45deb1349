"""Small made-up DAVIS, networks with random weights, and jobs of a few steps."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magkit.invert.job import Job
from magkit.invert.targets.load import TargetChoice

VIDEOS = {"bear": 3, "two-dogs": 12, "clip10": 1, "clip2": 1}


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Writes videos of 24x16 pixels with binary masks; the frames of `two-dogs` are missing."""
    root = tmp_path / "DAVIS"
    for video, count in VIDEOS.items():
        masks, images = (root / kind / "480p" / video for kind in ("Annotations", "JPEGImages"))
        masks.mkdir(parents=True)
        images.mkdir(parents=True)
        for number in range(count):
            mask = np.zeros((16, 24), np.uint8)
            mask[4:12, number : number + 8] = 255
            Image.fromarray(mask).save(masks / f"{number:05d}.png")
            if video != "two-dogs":
                Image.fromarray(mask).save(images / f"{number:05d}.jpg")
    return root


SMALL = {
    "size": 64,
    "iterations": 4,
    "keyframe_steps": 1,
    "warm_steps": 1,
    "keyframe": 2,
    "plateau": 0.0,
}
# Where the top left corners of each video's objects are, frame by frame; none: not to be seen.
MOVING: dict[str, list[list[tuple[int, int] | None]]] = {
    "bear": [[(10 + 2 * n, 10 + 4 * n)] for n in range(5)],
    "two-dogs": [[(4, 4 + 3 * n), (34, 50 - 3 * n)] for n in range(3)],
    "cows": [[(10, 10)], [None], [(14, 22)]],
}


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DAVIS of 96x64 pixels whose objects move; only to be read.

    `bear` and `cows` have real frames; those of `two-dogs`, with a palette, are missing.
    """
    root = tmp_path_factory.mktemp("moving") / "DAVIS"
    rng = np.random.default_rng(0)
    for video, frames in MOVING.items():
        masks, images = (root / kind / "480p" / video for kind in ("Annotations", "JPEGImages"))
        masks.mkdir(parents=True)
        images.mkdir(parents=True)
        for number, corners in enumerate(frames):
            picture = Image.fromarray(drawn(corners)).convert("P")
            picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
            picture.save(masks / f"{number:05d}.png")
            if video != "two-dogs":
                noise = rng.integers(0, 255, (64, 96, 3), np.uint8)
                Image.fromarray(noise).save(images / f"{number:05d}.jpg")
    return root


def drawn(corners: list[tuple[int, int] | None]) -> NDArray[np.uint8]:
    """The labels of boxes, 1 and so on."""
    labels = np.zeros((64, 96), np.uint8)
    for label, corner in enumerate(corners, 1):
        if corner is not None:
            top, left = corner
            labels[top : top + 26, left : left + 30] = label
    return labels


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of random weights: `target` and `verifier` of a segmenter, and of `maskrcnn-small`."""
    import torch

    from magkit.invert import CLASSES
    from magkit.invert.targets.maskrcnn_networks import maskrcnn_small
    from magkit.invert.targets.segmenter import Segmenter
    from magkit.runtime.weights import to_storable, write_tensors

    made = {
        "target": ("segmenter", Segmenter),
        "verifier": ("segmenter", Segmenter),
        "maskrcnn-small": ("maskrcnn-small", maskrcnn_small),
    }
    folder, files = tmp_path_factory.mktemp("weights"), {}
    for seed, (key, (name, network)) in enumerate(made.items()):
        torch.manual_seed(seed)
        tensors = network(len(CLASSES) + 1).state_dict()
        files[key] = folder / f"{key}.safetensors"
        texts = {"target": name, "classes": json.dumps(CLASSES)}
        write_tensors(files[key], {k: to_storable(v) for k, v in tensors.items()}, texts)
    return files


@pytest.fixture(scope="session")
def small(moving: Path, weights: dict[str, Path]) -> Callable[..., Job]:
    """Makes jobs of a few steps: of `bear` by the segmenter unless told otherwise."""

    def make(settings: dict[str, Any] | None = None, **more: Any) -> Job:
        target = TargetChoice("segmenter", weights=weights["target"])
        job: dict[str, Any] = {"videos": ["bear"], "davis": moving, "targets": [target], **more}
        if "masks" in more:
            job |= {"videos": (), "davis": None}
        return Job(**job, settings={**SMALL, **(settings or {})})

    return make


@pytest.fixture(scope="session")
def frames_in() -> Callable[[Path], dict[str, bytes]]:
    """Reads all frames of a job, or of a clip, byte by byte."""

    def read(folder: Path) -> dict[str, bytes]:
        found = sorted(folder.rglob("frames/*.png"))
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    return read


@pytest.fixture(scope="session")
def build_detector() -> Callable[..., Any]:
    """Builds the small Mask R-CNN as a target, of three classes, always with the same weights.

    What its layers remember differs from channel to channel.
    """
    import torch

    from magkit.invert.statistics import bn_statistics
    from magkit.invert.targets.maskrcnn import MaskRCNNTarget
    from magkit.invert.targets.maskrcnn_networks import maskrcnn_small
    from magkit.invert.targets.maskrcnn_spec import MaskRCNNConfig

    def build(**options: Any) -> MaskRCNNTarget:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = maskrcnn_small(3)
            for layer in bn_statistics(model):
                layer.mean_C.normal_(0, 0.3)
                layer.variance_C.uniform_(0.5, 1.5)
        names, config = ("background", "bear", "dog"), MaskRCNNConfig(**options)
        return MaskRCNNTarget(model, names, config, torch.device("cpu"))

    return build


@pytest.fixture(scope="session")
def straight_terms() -> Callable[..., dict[str, Any]]:
    """The terms of `thesis`, before their weights, written straight from their formulas."""
    import torch
    from torch.nn import functional as F
    from torchvision.ops import MultiScaleRoIAlign, roi_align

    def terms(model: Any, x: Any, mask_HW: Any, box: list[float], number: int) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        layers = {n: m for n, m in model.named_modules() if hasattr(m, "running_mean")}
        handles = [
            m.register_forward_pre_hook(lambda _, seen, n=n: inputs.update({n: seen[0]}))
            for n, m in layers.items()
        ]
        heads, boxes = model.roi_heads, torch.tensor([box]).to(x)
        mean, std = (
            torch.tensor(v, dtype=x.dtype)[:, None, None]
            for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        # Out of normalised space and back, as a network keeps its constants: in single precision.
        maps = model.backbone((x * std + mean - mean.float()) / std.float())
        pooled = MultiScaleRoIAlign(["0", "1", "2"], 14, 2)(maps, [boxes], [mask_HW.shape])
        logits = heads.mask_predictor(heads.mask_head(pooled))[0, number]
        for handle in handles:
            handle.remove()
        rois = torch.cat([torch.zeros(1, 1).to(boxes), boxes], 1)
        truth = roi_align(mask_HW[None, None].to(x), rois, logits.shape, 1.0)[0, 0]
        apart = torch.zeros(()).to(x)
        for name, layer in layers.items():
            seen = inputs[name].transpose(0, 1).flatten(1)
            centre = seen.sum(1) / seen.shape[1]
            spread = ((seen - centre[:, None]) ** 2).sum(1) / seen.shape[1]
            apart = apart + ((centre - layer.running_mean) ** 2).sum().sqrt()
            apart = apart + ((spread - layer.running_var) ** 2).sum().sqrt()
        height, width = x.shape[2:]
        pairs = [
            x[:, :, down:, max(0, across) : width + min(0, across)]
            - x[:, :, : height - down, max(0, -across) : width - max(0, across)]
            for down, across in ((0, 1), (1, 0), (1, 1), (1, -1))
        ]
        return {
            "mask": (F.softplus(logits) - logits * truth).mean(),
            "bn": apart,
            "var_l1": torch.stack([pair.abs().mean() for pair in pairs]).sum(),
            "var_l2": torch.stack([(pair**2).sum().sqrt() for pair in pairs]).sum(),
            "l2_norm": (x**2).sum().sqrt(),
        }

    return terms


TINY = (Path(__file__).parent / "tiny_classifier.py").read_text(encoding="utf-8")


@pytest.fixture
def tiny(site: Any) -> Iterator[Callable[..., Any]]:
    """Installs the tiny classifier, and chooses it: `tiny("seed=1")` with these options."""
    from magkit.plugins import registry

    site.install("magkit-tiny", TINY)
    registry.cache_clear()
    yield lambda *options: TargetChoice("tiny", options=options)
    registry.cache_clear()


@pytest.fixture
def colours(tiny: Callable[..., TargetChoice]) -> Callable[..., Any]:
    """Makes jobs of a few steps: three pictures of each colour in two batches unless told."""
    from magkit.invert.job import ClassJob

    def make(settings: dict[str, Any] | None = None, **more: Any) -> ClassJob:
        job: dict[str, Any] = {"targets": [tiny()], "per_class": 3, **more}
        return ClassJob(**job, settings={"iterations": 6, "batch": 5, "bn": 1, **(settings or {})})

    return make
