"""What lists and recipes from elsewhere may name, and where servers may redirect to."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from magkit.data.open import open_dataset
from magkit.data.plan import make_plan
from magkit.data.write import write_dataset
from magkit.errors import MagkitError, UsageError
from magkit.synth import storage
from magkit.synth.build import build_sources
from magkit.synth.listing import check_origin, find_files, origin
from magkit.synth.scene import SceneConfig
from magkit.synth.storage import open_place, read_bytes, version

Web = Any  # a server on this machine: conftest.py
HOSTS = "https://host:8443/a/list"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "RETRY_DELAYS", [0.0, 0.0])


@pytest.mark.parametrize(
    "line",
    [
        *("/etc/passwd", "../../x", "file:///etc/passwd", "C:\\x", "\\\\host\\x", "a/../../b"),
        *("//other/x", "memory://other/b.png", "gs://lists/x", "https://lists/x"),
        *("http://127.0.0.1/x", "http://169.254.169.254/latest/meta-data", "http://[::1]:9200/"),
        *("http://10.0.0.1/x", "http://localhost:8080/x", "http://2130706433/x"),
        *("memory://lists@other/x", "memory://lists\\@other/x", "memory://lists.other/x"),
    ],
)
def test_a_list_from_elsewhere_names_nothing_outside(line: str) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/lists/far.txt", b"a.png\nmemory://lists/b.png\n")
    listing = find_files("memory://lists/far.txt")
    assert listing.names == ("memory://lists/a.png", "memory://lists/b.png")
    memory.pipe("/lists/far.txt", line.encode())
    with pytest.raises(UsageError) as refused:
        find_files("memory://lists/far.txt")
    assert line in refused.value.message


@pytest.mark.parametrize(
    ("named", "document"),
    [
        ("https://host:8443/x", HOSTS),
        ("HTTPS://Host:8443?x", HOSTS),
        ("https://host:443/x", "https://host/list"),
        ("gcs://bucket/x", "gs://bucket/deep/recipe/dataset.json"),
        ("gs://bucket/x", "simplecache::gs://bucket/dataset.json"),
        ("http://10.0.0.1/x", "/home/me/list.txt"),
        ("/etc/hosts", "list.txt"),
        ("/etc/hosts", "file:///home/me/list.txt"),
        ("/etc/hosts", "odd::name/list.txt"),
    ],
)
def test_what_may_be_named(named: str, document: str) -> None:
    check_origin(named, document)


@pytest.mark.parametrize(
    "named",
    [
        *(
            "http://host:8443/x",
            "https://host/x",
            "https://host:8444/x",
            "https://host:8443@evil/x",
        ),
        *("https://evil/host:8443/", "https://host:8443\\@evil/", "https://host:8443.evil/x"),
        *("s3://host:8443/x", "/etc/passwd", "x.png", "file://host:8443/x", "host:8443/x"),
        "simplecache::https://host:8443/x",
    ],
)
def test_what_may_not(named: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_origin(named, HOSTS)
    assert named in refused.value.message
    assert "https://host:8443" in refused.value.message


def test_the_copy_of_a_list_may_name_what_it_likes(web: Web, tmp_path: Path) -> None:
    """What the user named is read, wherever it lies."""
    web.files = {"/a.png": b"a"}
    (tmp_path / "list.txt").write_text(f"{web.url}/a.png\n")
    listing = find_files(str(tmp_path / "list.txt"))
    assert read_bytes(listing.place(0)) == b"a"


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[dict[str, str]], str]:
    """Writes a recipe of local pictures and puts it into a bucket, its places replaced."""
    sources = build_sources([str(pictures(tmp_path / "in"))], None, None, 0)
    plan = make_plan("triplets", "recipe", 2, 0, SceneConfig(size=32, objects=(1, 2)), sources)
    write_dataset(tmp_path / "recipe", plan, sources)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "in"), "/store/in", recursive=True)

    def put(replaced: dict[str, str]) -> str:
        text = (tmp_path / "recipe" / "dataset.json").read_text()
        table = json.loads(text)
        for part in table["sources"]["pictures"]:
            part["location"] = replaced.get("pictures", part["location"])
            part["kind"] = replaced.get("kind", part["kind"])
        memory.pipe("/store/recipe/dataset.json", json.dumps(table).encode())
        return "memory://store/recipe"

    return put


def test_a_recipe_from_elsewhere_opens_no_folder_here(
    recipe: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    with pytest.raises(MagkitError) as refused:
        open_dataset(recipe({}))
    assert str(tmp_path / "in") in refused.value.message
    assert "memory://store" in refused.value.message
    for place in ("memory://other/in", "http://127.0.0.1:1/list", "file:///etc", "in", ""):
        with pytest.raises(MagkitError, match="of memory://store"):
            open_dataset(recipe({"pictures": place}))
    beside = recipe({"pictures": "memory://store/in", "kind": "bucket"})
    assert len(open_dataset(beside)) == 2
    assert len(open_dataset(str(tmp_path / "recipe"))) == 2  # the user's own names anything


def test_pictures_of_objects_in_a_recipe_count_too(
    recipe: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    memory = fsspec.filesystem("memory")
    recipe({"pictures": "memory://store/in", "kind": "bucket"})
    table = json.loads(memory.cat("/store/recipe/dataset.json"))
    objects = {"kind": "coco", "location": "memory://store/x.json", "count": 1, "sha256": ""}
    for images in (str(tmp_path / "in"), "memory://other/in"):
        table["sources"]["objects"] = [{**objects, "images": {"location": images}}]
        memory.pipe("/store/recipe/dataset.json", json.dumps(table).encode())
        with pytest.raises(MagkitError) as refused:
            open_dataset("memory://store/recipe")
        assert f"names {images}" in refused.value.message


@pytest.fixture
def other(web: Web) -> Iterator[Web]:
    """Another server on this machine, with a secret."""
    made = type(web)()
    made.files = {"/x": b"secret"}
    yield made
    made.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_redirects_stay_away_from_internal_addresses(web: Web, other: Web, host: str) -> None:
    """The server asked for may be internal, what it leads on to may not."""
    target = f"http://{host}:{other.server.server_port}/x"
    web.leads = {"/x": target, "/set/dataset.json": target}
    for read in (read_bytes, find_files, open_place, version):
        with pytest.raises(MagkitError, match="internal network"):
            read(f"{web.url}/x")
    with pytest.raises(MagkitError, match="internal network"):
        open_dataset(f"{web.url}/set")
    assert other.asked == []


def test_redirects_within_a_host_and_to_public_ones_are_followed(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.leads = {"/old": "/new", "/away": f"http://localhost:{web.server.server_port}/new"}
    web.files = {"/new": b"data"}
    assert read_bytes(f"{web.url}/old") == b"data"
    with pytest.raises(MagkitError, match="internal network"):
        read_bytes(f"{web.url}/away")
    monkeypatch.setattr(storage, "is_public", lambda address: address in ("127.0.0.1", "::1"))
    assert read_bytes(f"{web.url}/away") == b"data"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((a, False) for a in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "0.0.0.0")),
        *((a, False) for a in ("169.254.169.254", "100.64.0.1", "::1", "fe80::1%eth0", "fd00::1")),
        *((a, False) for a in ("::ffff:10.0.0.1", "2002:7f00:1::", "::", "", "host")),
        *((a, True) for a in ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8")),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert storage.is_public(address) == public


def test_origins_are_told_apart() -> None:
    assert origin("/a/b") is None
    assert origin("file:///a") is None
    assert str(origin("GS://Bucket/a")) == "gs://bucket"
