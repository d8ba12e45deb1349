"""Files from every place, and what is said where there are none."""

import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pytest

from magkit.errors import MagkitError, UsageError
from magkit.synth import storage
from magkit.synth.listing import find_files
from magkit.synth.storage import UnreachableError, read_bytes, version

Web = Any  # a server on this machine: conftest.py


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "RETRY_DELAYS", [0.0, 0.0])


def test_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(b"some")
    with zipfile.ZipFile(tmp_path / "x.ZIP", "w") as archive:
        archive.writestr("in/a.bin", b"inside")
    fsspec.filesystem("memory").pipe("/store/a.bin", b"remote")
    assert read_bytes(str(tmp_path / "a b.bin")) == b"some"
    assert read_bytes(f"file://{(tmp_path / 'a b.bin').as_posix()}") == b"some"
    assert read_bytes(f"{tmp_path / 'x.ZIP'}!/in/a.bin") == b"inside"
    assert read_bytes("memory://store/a.bin") == b"remote"
    for place in (str(tmp_path / "a b.bin"), f"{tmp_path / 'x.ZIP'}!/in/a.bin"):
        with pytest.raises(MagkitError, match="too large"):
            read_bytes(place, 3)
    with pytest.raises(MagkitError, match="too large"):
        read_bytes("memory://store/a.bin", 5)


@pytest.mark.parametrize("place", ["{}/none", "{}", "memory://store/none", "{}/x.zip!/none"])
def test_what_is_not_there(tmp_path: Path, place: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", b"")
    with pytest.raises(MagkitError, match="can't be read"):
        read_bytes(place.format(tmp_path))


def test_unknown_schemes_are_refused() -> None:
    for place in ("ssh://host/a", "zap://x", "data:///x"):
        with pytest.raises(UsageError, match="can't be read"):
            read_bytes(place)


@pytest.mark.parametrize(("scheme", "extra"), [("gs", "gcs"), ("s3", "s3"), ("https", "http")])
def test_a_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    def missing(*_: object) -> None:
        raise ImportError("no driver")

    monkeypatch.setattr(storage, "_filesystem", missing)
    place = f"{scheme}://bucket/list.txt"
    with pytest.raises(MagkitError, match=f"reading {scheme}:// needs a driver") as caught:
        find_files(place)
    assert f"magkit[{extra}]" in caught.value.hint


class Flaky:
    """A file system that fails as often as it is told."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left, self.asked = error, times, 0

    def cat_file(self, *_: object) -> bytes:
        self.asked += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return b"data"


class StatusError(Exception):
    """What drivers of the web raise."""

    def __init__(self, status: int) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("error", "times", "asked"),
    [
        (OSError("reset"), 2, 3),
        (TimeoutError(), 3, 3),
        (StatusError(503), 3, 3),
        (StatusError(429), 1, 2),
        (StatusError(403), 3, 1),
        (PermissionError("no"), 3, 1),
        (FileNotFoundError("no"), 3, 1),
    ],
)
def test_what_may_pass_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, times: int, asked: int
) -> None:
    system = Flaky(error, times)
    monkeypatch.setattr(storage, "_filesystem", lambda _: system)
    if times < 3:
        assert read_bytes("gs://bucket/a") == b"data"
    else:
        with pytest.raises(MagkitError, match=r"gs://bucket/a") as caught:
            read_bytes("gs://bucket/a")
        assert isinstance(caught.value, UnreachableError) == (asked == 3)
    assert system.asked == asked


def test_a_version_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    memory = fsspec.filesystem("memory")
    for place, write in (
        (str(path), path.write_bytes),
        ("memory://v/a", lambda data: memory.pipe("/v/a", data)),
    ):
        write(b"one")
        first = version(place)
        assert version(place) == first
        write(b"three")
        assert version(place) != first
    with pytest.raises(MagkitError, match="no file"):
        version(str(tmp_path / "none"))
    with pytest.raises(MagkitError, match="no file"):
        version("memory://v/none")


def test_lists_on_the_web(web: Web) -> None:
    web.files = {
        "/set/list": f"a.png\nb/c.png\n{web.url}/d.png\n".encode(),
        "/set/a.png": b"a",
        "/set/b/c.png": b"c",
        "/d.png": b"d" * 100_000,
    }
    listing = find_files(f"{web.url}/set/list")
    assert listing.kind == "list"
    read = [read_bytes(listing.place(number)) for number in range(3)]
    assert read == [b"a", b"c", b"d" * 100_000]
    assert web.asked == ["/set/list", "/set/a.png", "/set/b/c.png", "/d.png"]  # once each


def test_the_web_is_read_within_bounds(web: Web) -> None:
    with pytest.raises(MagkitError, match="too large"):
        read_bytes(f"{web.url}/endless", 3 << 20)
    with pytest.raises(MagkitError, match="can't be read"):
        read_bytes(f"{web.url}/none")
