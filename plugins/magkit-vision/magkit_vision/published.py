"""torchvision's published weights, from torch's cache or downloaded into it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from magkit import MagkitError, shows_progress


def published_file(weights: Any, name: str) -> Path:
    """Return the file of published weights in torch's cache, downloaded if need be.

    Args:
        weights: one of torchvision's enumerations.
        name: of the network, for messages.

    Raises:
        MagkitError: it is not there and can't be downloaded.
    """
    url: str = weights.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    if shows_progress():
        sys.stderr.write(f"downloading {url} to {path}\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rpartition("-")[2]  # of the file's hash, which its name tells
        torch.hub.download_url_to_file(url, str(path), prefix, progress=shows_progress())
    except (URLError, OSError, RuntimeError) as error:
        raise MagkitError(
            f"the weights of {name} are not in {path.parent}, nor to be downloaded: {error}",
            f"--weights FILE, or fetch {url} where there is a network and put it there",
        ) from error
    return path
