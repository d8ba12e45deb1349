"""A folder that holds what the documents take for granted, all of it small."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from shutil import copy, copytree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 96, 64
CLIPS = ("clip", "baby", "fork", "machine", "bridge")
DAVIS = ("Annotations", "JPEGImages")
Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def taken_for_granted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, pictures, COCO's objects, DAVIS, masks, and the recipes; only to be copied."""
    from magkit.video import plain_info, write_video

    folder = tmp_path_factory.mktemp("granted")
    info = plain_info(WIDTH, HEIGHT, Fraction(30), 16)
    for name in CLIPS:
        write_video(folder / f"{name}.mp4", waves(16), info)
    save(folder / "photos", [noise(seed) for seed in range(3)], "jpg")
    for label in (0, 1):
        save(folder / "labelled" / f"class-{label}", [noise(5 * label + n) for n in range(5)])
    for name in ("one", "two"):
        write_video(folder / "clips" / f"{name}.mp4", waves(16), info)
    save(folder / "objects" / "images", [noise(seed) for seed in (3, 4)], "jpg")
    (folder / "objects" / "instances.json").write_text(json.dumps(instances(2)))
    for video, count in (("bear", 3), ("dog", 12)):
        annotations, pictures = (folder / "DAVIS" / kind / "480p" / video for kind in DAVIS)
        save(annotations, [mask(n) for n in range(count)])
        save(pictures, [noise(n) for n in range(count)], "jpg")
    save(folder / "masks", [mask(n) for n in range(2)])
    Image.fromarray(mask(0)).save(folder / "mask.png")
    copytree(ROOT / "recipes", folder / "recipes")
    shipped = Path("magkit", "weights", "magnet-fast.safetensors")
    (folder / shipped).parent.mkdir(parents=True)
    copy(ROOT / shipped, folder / shipped)
    return folder


def waves(count: int) -> Iterator[Picture]:
    """Smooth colours that swing to and fro once in eight frames."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    for index in range(count):
        shift = 0.3 * np.sin(2 * np.pi * index / 8)
        tones = [np.sin((x - shift) / 3 + tone) * np.sin(y / 4 + tone) for tone in range(3)]
        yield (128 + 90 * np.stack(tones, -1)).round().astype(np.uint8)


def noise(seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def mask(number: int) -> Picture:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[14:44, 10 + 4 * number : 50 + 4 * number] = 255
    return drawn


def save(folder: Path, pictures: list[Picture], suffix: str = "png") -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:05d}.{suffix}")


def instances(count: int) -> dict[str, list[dict[str, object]]]:
    """COCO's file of one rectangle on each of `count` pictures."""
    corners = [10, 10, 60, 10, 60, 50, 10, 50]
    images = [
        {"id": n, "file_name": f"{n:05d}.jpg", "width": WIDTH, "height": HEIGHT}
        for n in range(count)
    ]
    found = {"category_id": 1, "iscrowd": 0, "area": 2000.0, "bbox": [10, 10, 50, 40]}
    objects = [{"id": n, "image_id": n, "segmentation": [corners], **found} for n in range(count)]
    return {
        "images": images,
        "annotations": objects,
        "categories": [{"id": 1, "name": "thing"}],
    }


@pytest.fixture
def here(
    taken_for_granted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fewer: None
) -> Path:
    """A copy of what is taken for granted, as the working directory."""
    folder = tmp_path / "here"
    copytree(taken_for_granted, folder)
    monkeypatch.chdir(folder)
    # Whoever has followed the documents where the tests run has their packages.
    monkeypatch.setattr("magkit.scaffold.package.installed", lambda _: False)
    return folder


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no option makes smaller: how much is measured, and how long the demo's clip is."""
    from magkit.adapt import verdict
    from magkit.evaluate import cases, clips, demo

    monkeypatch.setattr(verdict, "PICTURES", 1)
    monkeypatch.setattr(verdict, "CODINGS", verdict.CODINGS[:1])
    monkeypatch.setattr(verdict, "AMPLITUDES", verdict.AMPLITUDES[:1])
    monkeypatch.setattr(cases, "DISPLACEMENTS", (0.5,))
    monkeypatch.setattr(cases, "FACTORS", (5.0,))
    monkeypatch.setattr(cases, "SUBPIXEL_DISPLACEMENTS", (0.5,))
    monkeypatch.setattr(clips, "STILL_FRAMES", 5)
    monkeypatch.setattr(clips, "measure_still", partial(clips.measure_still, clips=1))
    monkeypatch.setattr(demo, "FRAMES", 5)
    monkeypatch.setattr(demo, "PEAKS", range(3, 5, 18))


class Installed:
    """Where packages are installed, for this process and those that it starts."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch

    def install_from(self, source: str) -> None:
        """Do what `pip install SOURCE` does, without a network."""
        from magkit.plugins import registry

        here = ["--target", str(self.path), "--upgrade"]
        alone = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
        pip = [sys.executable, "-m", "pip", "install", *here, *alone, source]
        subprocess.run(pip, check=True)
        self._monkeypatch.setenv("MAGKIT_PLUGINS", Path(source).name, prepend=",")
        importlib.invalidate_caches()
        registry.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """An empty folder for packages, on the path for as long as the test."""
    from magkit.plugins import registry

    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("PYTHONPATH", str(path))
    before = set(sys.modules)
    yield Installed(path, monkeypatch)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(path)):
            del sys.modules[name]
    registry.cache_clear()
