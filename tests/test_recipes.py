"""Recipes can be run as they stand, and their README lists every setting."""

import json
import re
import runpy
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.finetune.recipe import PARTS, make_recipe
from magkit.invert import CLASSES
from magkit.invert.targets.load import TargetChoice, build_target
from magkit.options import option_rows, parse_options
from magkit.plugins import registry

FOLDER = Path(__file__).parents[1] / "recipes"
FLAGS = ("steps", "batch", "size", "lr", "seed")


def settings_table() -> list[str]:
    rows = [row for part in PARTS for row in option_rows(part)]
    return [f"| `{row.key}` | {row.default} | {row.help} |" for row in rows]


def test_the_readme_lists_every_setting() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `.*$", text, re.MULTILINE)
    assert found == settings_table(), "\n".join(settings_table())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_made_of_options_and_settings(path: Path) -> None:
    from magkit.cli.finetune import finetune

    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(table) <= set(finetune.__annotations__)
    spec = registry().magnifier(table["magnifier"])
    flags = {key: table[key] for key in FLAGS if key in table}
    make_recipe(spec.preset, table.get("train", {}), flags)
    parse_options(spec.config, [f"{k}={v}" for k, v in table.get("opt", {}).items()])
    assert path.stem in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """DAVIS with eight frames of a bear, and four pictures of COCO's layout, one with a dog."""
    rng = np.random.default_rng(0)

    def save(path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    mask = np.zeros((64, 96), np.uint8)
    mask[10:50, 20:70] = 255
    for number in range(8):
        noise = rng.integers(0, 255, (64, 96, 3), np.uint8)
        save(tmp_path / f"davis/JPEGImages/480p/bear/{number:05d}.jpg", noise)
        save(tmp_path / f"davis/Annotations/480p/bear/{number:05d}.png", mask)
    for number in range(4):
        save(tmp_path / f"coco/train2017/{number}.jpg", rng.integers(0, 255, (64, 96, 3), np.uint8))
    box = [[10, 10, 60, 10, 60, 50, 10, 50]]
    dog = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "area": 2000.0,
        "bbox": [10, 10, 50, 40],
    }
    listed = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 96, "height": 64} for n in range(4)],
        "annotations": [{**dog, "segmentation": box}],
        "categories": [{"id": 1, "name": "dog"}],
    }
    (tmp_path / "coco/annotations").mkdir()
    (tmp_path / "coco/annotations/instances_train2017.json").write_text(json.dumps(listed))
    return tmp_path


@pytest.mark.parametrize(
    "network",
    [
        *("maskrcnn-small", "segmenter", "resnet-segmenter"),
        *("convnext-segmenter", "shuffle-segmenter"),
    ],
)
def test_networks_for_inversion_can_be_trained(
    network: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    recipe = runpy.run_path(str(FOLDER / "inversion_networks.py"))
    shared = recipe["main"].__globals__
    monkeypatch.setitem(shared, "SETTLED", 1)
    monkeypatch.setitem(shared, "SIZES", ((64, 96),) * 4)
    run = pictures / "run"
    places = ["--davis", str(pictures / "davis"), "--coco", str(pictures / "coco")]
    recipe["main"]([network, *places, "-o", str(run), "--steps", "1", "--batch", "2"])
    target = build_target(
        TargetChoice(network, weights=run / "model.safetensors"), torch.device("cpu")
    )
    assert tuple(target.classes) == CLASSES
    assert len(target.predict(torch.rand(1, 3, 64, 96))) == 1
    assert (run / "samples" / "step-000001.png").is_file()
