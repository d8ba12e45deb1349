"""Comparison of two folders that the same commands wrote: byte by byte, else by what counts.

A file counts as

- equal: of the same bytes;
- renamed: of the same bytes under another name;
- values equal: JSON that differs only in how long things took, and in keys that were renamed;
- tensors equal: weights or a checkpoint that hold the same tensors, and other metadata;
- packets equal: Matroska that differs only in the random numbers of its segment and tracks;
- differs, only old, only new.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

EQUAL, RENAMED, DIFFERS = "equal", "renamed", "differs"
VALUES, TENSORS, PACKETS = "values equal", "tensors equal", "packets equal"
ONLY_OLD, ONLY_NEW = "only old", "only new"

ALIKE = frozenset({EQUAL, RENAMED, VALUES, TENSORS, PACKETS})
"""What counts as the same result."""

SKIPPED = {
    "cache/*": "it is remembered to save time, and is no result",
    "*.lock": "it says which process holds a run",
    "*tfevents*": "TensorBoard's events hold times of day and the host's name",
}
"""Patterns of files that are not compared, and why."""

VOLATILE = frozenset({"seconds"})
"""Keys of JSON whose values are durations."""


@dataclass(frozen=True, slots=True)
class Renames:
    """What is called otherwise in the new commit.

    Args:
        files: Regular expressions of old paths, and what replaces them (see `re.sub`).
        keys: Old keys of JSON objects and of checkpoints, and the new ones.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """Return the new name of a file."""
        for pattern, replacement in self.files.items():
            name = re.sub(pattern, replacement, name)
        return name


def compare(old: Path, new: Path, renames: Renames) -> dict[str, str]:
    """Compare all files below two folders.

    Returns:
        The verdict on each file by its new name, or by its old one where there is no new one.
    """
    before = {renames.path(name): path for name, path in _files(old).items()}
    after = _files(new)
    verdicts = {
        name: _verdict(before[name], after[name], renames) for name in before.keys() & after.keys()
    }
    # Files without a namesake are paired by their content.
    left = {name: _digest(before[name]) for name in sorted(before.keys() - after.keys())}
    for name in sorted(after.keys() - before.keys()):
        digest = _digest(after[name])
        twin = next((one for one, content in left.items() if content == digest), None)
        verdicts[name] = ONLY_NEW if twin is None else RENAMED
        left.pop(twin or "", None)
    verdicts |= dict.fromkeys(left, ONLY_OLD)
    return dict(sorted(verdicts.items()))


def _files(folder: Path) -> dict[str, Path]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path
        for name, path in found.items()
        if path.is_file() and not any(fnmatch(name, pattern) for pattern in SKIPPED)
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verdict(old: Path, new: Path, renames: Renames) -> str:
    if _digest(old) == _digest(new):
        return EQUAL
    if new.suffix in {".json", ".jsonl"}:
        same = [_plain(row, renames.keys) for row in _rows(old)] == [
            _plain(row, {}) for row in _rows(new)
        ]
        return VALUES if same else DIFFERS
    if new.suffix in {".safetensors", ".pt"}:
        return TENSORS if _same_tensors(old, new, renames.keys) else DIFFERS
    if new.suffix in {".mkv", ".webm"}:
        return PACKETS if _packets(old) == _packets(new) else DIFFERS
    return DIFFERS


def _rows(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(row) for row in (text.splitlines() if path.suffix == ".jsonl" else [text])]


def _plain(value: Any, keys: Mapping[str, str]) -> Any:
    """JSON without durations, by its new keys."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if key not in VOLATILE}
        return {keys.get(key, key): _plain(inner, keys) for key, inner in kept.items()}
    if isinstance(value, list):
        return [_plain(inner, keys) for inner in value]
    # Numbers as they are spelled: 1 is not 1.0 or true, and NaN is itself.
    return json.dumps(value)


def _packets(path: Path) -> str:
    """What ffmpeg lists of a file's streams, and of each packet its times and MD5."""
    import imageio_ffmpeg

    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats"]
    line += ["-i", path.name, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]
    done = subprocess.run(line, cwd=path.parent, capture_output=True, check=False)
    if done.returncode:
        return f"{path} can't be read"
    # What follows on standard error tells of this run.
    listed = done.stderr.decode(errors="replace").partition("Stream mapping:")[0]
    return listed.replace(path.name, "") + done.stdout.decode()


def _same_tensors(old: Path, new: Path, keys: Mapping[str, str]) -> bool:
    before, after = dict(_tensors(_load(old), keys)), dict(_tensors(_load(new), {}))
    return before.keys() == after.keys() and all(
        _same_tensor(before[key], after[key]) for key in before
    )


def _load(path: Path) -> Any:
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(value: Any, keys: Mapping[str, str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the tensors in nested containers, by their place."""
    import torch

    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(inner, keys, f"{path}/{keys.get(str(key), key)}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _tensors(inner, keys, f"{path}/{number}")


def _same_tensor(old: Any, new: Any) -> bool:
    import torch

    if old.dtype != new.dtype or old.shape != new.shape:
        return False
    # By bits: NaN is equal to itself.
    bits = [one.contiguous().reshape(-1).view(torch.uint8) for one in (old, new)]
    return torch.equal(*bits)
