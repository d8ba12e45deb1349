"""The commands that two commits are compared by, and what is called otherwise in the newer one.

Commands are those of the older commit. Where the newer one has renamed an option, `RENAMED_WORDS`
says so; where it has renamed a file, a key of a record or a setting, `RENAMED_FILES` and
`RENAMED_KEYS` do. All three are emptied when both commits have the new names.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RENAMED_WORDS: dict[str, dict[str, str]] = {
    "invert": {"key=2": "keyframe_steps=2", "warm=2": "warm_steps=2"},
}
"""By step, or "" for every step: words of commands, and what the newer commit takes instead."""

RENAMED_FILES: dict[str, str] = {}
"""Regular expressions of old paths in a step's folder, and their replacements."""

RENAMED_KEYS: dict[str, str] = {
    "beyond": "range_penalty",
    "recalled": "bn_history",
    "warm": "warm_steps",
    "key": "keyframe_steps",
    "final": "final_lr_ratio",
}
"""Keys of JSON objects and of checkpoints, and the new ones."""

# Real clips, if there are any: a path below the data, and options.
_CLIPS = {
    "static": ("clips/evm_guitar.mp4", "-f 20 --end 0.5"),
    "band": ("clips/crane_crop.mp4", "-f 20 --band 1-3 --end 0.7"),
    "dynamic": ("clips/vibration/input/tuning_hz32_fps250_50-1_640x420.mp4", "-f 5 --end 0.2"),
}
_MADE = {"static": "made.mp4", "band": "made.mkv", "dynamic": "deep.mov"}

_CIFAR = "weights/cifar10_resnet/resnet20-12fca82f.th"

_SMALL = ["stem=8", "width=8", "guide=8", "hidden=8"]
_ONE = "--threads 1 --device cpu"
_FORMATS = ("folder", "tar", "recipe", "published")
_METHODS = {
    "moco": "--opt queue=4 --opt dim=16",
    "byol": "--opt dim=16",
    "scrl": "--opt dim=16 --opt min_size=8",
}


@dataclass(frozen=True, slots=True)
class Step:
    """Commands that are run one after another in one empty folder.

    Args:
        name: By which it is chosen.
        commands: The words after `magkit`.
        plugins: What MAGKIT_PLUGINS names.
        needs: A file without which it is left out.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    plugins: str = ""
    needs: Path | None = None

    def renamed(self) -> Step:
        """Return the step as the newer commit takes it."""
        words = RENAMED_WORDS.get("", {}) | RENAMED_WORDS.get(self.name, {})
        commands = tuple(tuple(words.get(w, w) for w in command) for command in self.commands)
        return Step(self.name, commands, self.plugins, self.needs)


def _step(name: str, lines: list[str], places: Mapping[str, Path], **more: object) -> Step:
    # Split first: a place may hold spaces.
    commands = tuple(tuple(w.format(**places) for w in shlex.split(line)) for line in lines)
    return Step(name, commands, **more)  # type: ignore[arg-type]


def steps(inputs: Path, old: Path, data: Path | None) -> list[Step]:
    """List all steps.

    Args:
        inputs: The folder of `make_inputs`.
        old: The tree of the older commit, whose files are inputs of both.
        data: The folder of real data, if there is one.
    """
    places = {"inputs": inputs, "old": old, "data": data or inputs}
    listed = {**_magnify(data), **_generate(), **_train(), **_invert(), **_evaluate()}
    found = [_step(name, lines, places) for name, lines in listed.items()]
    if data is not None:
        classes = f"invert --classes bird,ship --per-class 2 --target cifar-resnet20 {_ONE}"
        line = f"{classes} --iterations 20 --weights {{data}}/{_CIFAR} -o run"
        found.append(_step("invert-classes", [line], places, plugins="vision", needs=data / _CIFAR))
    return found


def _magnify(data: Path | None) -> dict[str, list[str]]:
    found = {}
    for name, (path, options) in _CLIPS.items():
        real = data is not None and (data / path).is_file()
        source = f"{{data}}/{path}" if real else f"{{inputs}}/{_MADE[name]}"
        mode = "--mode dynamic" if name == "dynamic" else ""
        line = f"magnify {source} {options} {mode} {_ONE}"
        found[f"magnify-{name}"] = [f"{line} -o out.mp4", f"{line} --fps 20 -o out"]
    classical = "magnify {inputs}/made.mp4 -f 5 --band 1-3 --end 0.5 --magnifier"
    found["magnify-linear"] = [f"{classical} linear {_ONE} -o out.mkv", "stitch {inputs}/folder"]
    found["magnify-phase"] = [f"{classical} phase {_ONE} -o out.webm"]
    return found


def _generate() -> dict[str, list[str]]:
    line = "gen-data --count 20 --size 64 --procedural 8 --seed 3 --threads 1 -o out --format"
    return {f"gen-data-{form}": [f"{line} {form}"] for form in _FORMATS}


def _train() -> dict[str, list[str]]:
    loop = f"--steps 50 --workers 0 {_ONE} --train warmup=5 --train save_every=25 -o run"
    frames = "--scenes 8 --batch 4 --size 32 --train frame=40 --opt hidden=16"
    network = " ".join(f"--magnifier-opt {one}" for one in _SMALL)
    found = {
        f"pretrain-{name}": [f"pretrain --method {name} {options} {frames} {network} {loop}"]
        for name, options in _METHODS.items()
    }
    scenes = "finetune --procedural 4 --batch 1 --train objects=1,2"
    options = " ".join(f"--opt {one}" for one in _SMALL)
    found["finetune-magnet-fast"] = [f"{scenes} --size 64 {options} {loop}"]
    found["finetune-magnet"] = [f"{scenes} --size 32 --magnifier magnet {loop}"]
    return found


def _invert() -> dict[str, list[str]]:
    few = "--iterations 6 --set keyframe=2 --set key=2 --set warm=2 --size 96"
    masks = "invert --video bear --davis {inputs}/DAVIS"
    judged = f"evaluate inversion run --davis {{inputs}}/DAVIS {_ONE}"
    return {"invert": [f"{masks} {few} {_ONE} -o run", judged, "stitch run/bear -o out.mp4"]}


def _evaluate() -> dict[str, list[str]]:
    scenes = f"evaluate magnifier --repeats 1 --procedural 4 {_ONE} -o out.json"
    encoder = f"evaluate encoder {{old}}/benchmarks/encoders/byol.safetensors {_ONE}"
    return {
        "evaluate-magnifier": [f"{scenes} --magnifier linear"],
        "evaluate-encoder": [f"{encoder} --frames 8 --procedural 4 -o out.json"],
        "evaluate-clip": [f"evaluate clip {{inputs}}/made.mp4 --band 1-3 {_ONE} -o out.json"],
    }


def make_inputs(folder: Path) -> None:
    """Make clips, a folder of frames, and masks in the layout of DAVIS."""
    import imageio_ffmpeg

    colours = "gradients=s=160x96:r=25:d=1:seed=1:speed=0.05:type=radial"
    sound = ["-f", "lavfi", "-i", "sine=440:d=1"]
    hlg = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=arib-std-b67:range=tv"
    deep = ["-vf", hlg, "-pix_fmt", "yuv420p10le", "-c:v", "libx265"]
    coded: dict[str, list[str]] = {
        "made.mp4": [*sound, "-pix_fmt", "yuv420p", "-c:v", "libx264"],
        "made.mkv": ["-pix_fmt", "yuv420p", "-c:v", "ffv1", "-vf", "select=mod(n\\,3)"],
        "deep.mov": [*deep, "-x265-params", "log-level=error"],
        "folder/%03d.png": ["-frames:v", "5"],
    }
    (folder / "folder").mkdir(parents=True)
    for name, args in coded.items():
        line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin"]
        source = ["-f", "lavfi", "-i", colours]
        subprocess.run([*line, *source, *args, str(folder / name)], check=True)
    _make_masks(folder / "DAVIS")


def _make_masks(root: Path) -> None:
    from PIL import Image

    masks, frames = (root / kind / "480p" / "bear" for kind in ("Annotations", "JPEGImages"))
    for one in (masks, frames):
        one.mkdir(parents=True)
    for number in range(4):
        mask = Image.new("L", (144, 96))
        left, top = 20 + 6 * number, 16 + 2 * number
        mask.paste(255, (left, top, left + 60, top + 56))
        mask.save(masks / f"{number:05d}.png")
        mask.point([200 - n // 2 for n in range(256)]).convert("RGB").save(
            frames / f"{number:05d}.jpg", quality=95
        )
