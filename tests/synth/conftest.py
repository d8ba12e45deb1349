"""Sources and scenes made by hand."""

import http.server
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from magkit.synth.coco import CocoCutouts
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources
from magkit.synth.scene import Kind, Layer, Scene


class Given:
    """Tensors as pictures and as objects, handed out as they are."""

    unreadable: tuple[str, ...] = ()

    def __init__(self, items: Sequence[torch.Tensor]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def picture(self, index: int) -> torch.Tensor:
        return self.items[index]

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        assert longest >= max(self.items[index].shape[1:])
        return self.items[index]

    def name(self, index: int) -> str:
        return f"given {index}"

    def prepare(self, indices: Iterable[int]) -> None:
        pass

    def describe(self) -> list[dict[str, Any]]:
        return [{"kind": "given", "count": len(self.items)}]


@pytest.fixture
def given() -> Callable[..., Sources]:
    """Makes sources of pictures (uint8) and objects (float RGBA)."""

    def make(
        pictures: Sequence[torch.Tensor], cutouts: Sequence[torch.Tensor] = (torch.zeros(4, 4, 4),)
    ) -> Sources:
        return Sources(Given(pictures), Given(cutouts))

    return make


@pytest.fixture(scope="session")
def procedural() -> Sources:
    """A few procedural pictures and objects."""
    return Sources(ProceduralPictures(12), ProceduralCutouts(12))


@pytest.fixture
def a_scene() -> Callable[..., Scene]:
    """Makes a scene whose background is the picture as it is, in its own colours."""

    def make(
        layers: Sequence[Layer] = (),
        *,
        kind: Kind = "normal",
        motion: tuple[float, float] = (0.0, 0.0),
        factor: float = 1.0,
        gain: tuple[float, float, float] = (1.0, 1.0, 1.0),
        offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
        noise_seed: int = 0,
    ) -> Scene:
        return Scene(
            index=0,
            kind=kind,
            factor=factor,
            background=0,
            zoom=1.0,
            corner=(0.0, 0.0),
            flip=False,
            motion=motion,
            layers=tuple(layers),
            gain=gain,
            offset=offset,
            noise_seed=noise_seed,
        )

    return make


@pytest.fixture
def a_layer() -> Callable[..., Layer]:
    """Makes object `number` at a place, given in pixels of a frame of a size."""

    def make(
        number: int,
        origin: tuple[float, float],
        motion: tuple[float, float] = (0.0, 0.0),
        *,
        size: int,
        flip: bool = False,
    ) -> Layer:
        x, y = origin
        return Layer(
            number=number, extent=10_000, origin=(x / size, y / size), motion=motion, flip=flip
        )

    return make


@pytest.fixture
def noise_picture() -> Callable[..., torch.Tensor]:
    """Makes a picture of rough noise, grey levels 40 to 215, as uint8 (3, side, side)."""

    def make(side: int, seed: int = 0) -> torch.Tensor:
        levels = np.random.default_rng(seed).integers(40, 216, (3, side, side), dtype=np.uint8)
        return torch.from_numpy(levels)

    return make


SHAPE = (80, 96)  # height, width
Picture = npt.NDArray[np.uint8]


def colours(seed: int = 0) -> Picture:
    levels = np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3))
    return levels.astype(np.uint8)


def saved(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours(seed)).save(path)
    return path


class Coco:
    """A COCO instances file in the making, and its pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def image(self, **changed: Any) -> int:
        number = len(self.images) + 1
        saved(self.folder / "images" / f"{number}.png", number)
        info = {"id": number, "file_name": f"{number}.png", "height": SHAPE[0], "width": SHAPE[1]}
        self.images.append({**info, **changed})
        return number

    def box(self, image: int, left: int, top: int, right: int, bottom: int, **changed: Any) -> None:
        """Adds a rectangle."""
        outline = [left, top, right, top, right, bottom, left, bottom]
        annotation = {
            "id": len(self.annotations) + 100,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "area": (right - left) * (bottom - top),
            "bbox": [left, top, right - left, bottom - top],
            "segmentation": [outline],
        }
        self.annotations.append({**annotation, **changed})

    def open(self) -> CocoCutouts:
        self.write()
        return self.reopened()

    def reopened(self) -> CocoCutouts:
        """Opens the file as it stands."""
        return CocoCutouts(self.folder / "instances.json", self.folder / "images")

    def write(self) -> Path:
        path = self.folder / "instances.json"
        categories = [{"id": 1, "name": "thing"}]
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return path


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path)


@pytest.fixture
def one(coco: Coco) -> Coco:
    """A file of one object."""
    coco.box(coco.image(), 20, 30, 60, 54)
    return coco


class Web:
    """A server on this machine: whole files, whatever range is asked for; `/endless` never ends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.leads: dict[str, str] = {}  # where it redirects to
        self.asked: list[str] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def handler(web) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805 - self is another
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                if self.path == "/endless":
                    self.endless()
                    return
                data, target = web.files.get(self.path), web.leads.get(self.path)
                self.send_response(302 if target else 404 if data is None else 200)
                if target:
                    self.send_header("Location", target)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def endless(self) -> None:
                self.send_response(200)
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(bytes(1 << 16))
                except OSError:
                    return

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def web() -> Iterator[Web]:
    """A server on this machine."""
    pytest.importorskip("aiohttp", reason="aiohttp, the driver of https://, is not installed")
    made = Web()
    yield made
    made.close()
