"""What files a place names, in which order, and how a change shows."""

import os
import zipfile
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import MagkitError
from magkit.synth.listing import _listing, find_files

NAMES = ["a.png", "b/1.PNG", "b/c/2.png", "b-c.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "note.txt", "b/x.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "in"


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    return path


def test_folders_zips_and_buckets_list_the_same(folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in (*NAMES, "note.txt", "b/x.jpg"):
        memory.pipe(f"/listed/in/{name}", name.encode())
    places = [str(folder), str(zipped(folder)), "memory://listed/in", f"file://{folder}/"]
    listings = [find_files(place, {".png"}) for place in places]
    assert [listing.kind for listing in listings] == ["folder", "zip", "bucket", "bucket"]
    for listing in listings:
        assert listing.names == ("a.png", "b/1.PNG", "b/c/2.png", "b-c.png")
    assert len({listing.sha256 for listing in listings}) == 1
    assert len(find_files(str(folder))) == 6


def test_globs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/globbed/in/{name}": name.encode() for name in NAMES})
    for root in (str(folder), "memory://globbed/in"):
        assert find_files(f"{root}/*.png", {".png"}).names == ("a.png", "b-c.png")
        found = find_files(f"{root}/b/*", {".png"})
        assert found.names[0] == "1.PNG"
        assert found.place(0) == f"{root}/b/1.PNG"
        assert set(find_files(f"{root}/**/*", {".png"}).names) == set(NAMES)
    monkeypatch.chdir(folder)
    assert find_files("b*/*", {".png"}).place(0) == (folder / "b" / "1.PNG").as_posix()
    (folder / "x [1]").mkdir()
    assert find_files(str(folder / "x [1]")).kind == "folder"


@given(st.lists(st.text(st.sampled_from("ab/-.Z0 é"), min_size=1), unique=True, max_size=12))
def test_the_order_is_that_of_paths(names: list[str]) -> None:
    sound = [n for n in names if str(Path(n)) == n and n != "." and not n.startswith("/")]
    made = _listing("folder", "", "", [(name, 1) for name in sound], None).names
    if os.name == "posix":
        assert list(made) == [str(path) for path in sorted(Path(name) for name in sound)]


def test_a_change_shows(folder: Path) -> None:
    before = find_files(str(folder))
    assert find_files(str(folder)).sha256 == before.sha256
    (folder / "a.png").write_bytes(b"longer than before")
    longer = find_files(str(folder))
    (folder / "a.png").rename(folder / "z.png")
    renamed = find_files(str(folder))
    assert len({before.sha256, longer.sha256, renamed.sha256}) == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_keep_their_order(folder: Path, encoding: str) -> None:
    path = folder.parent / "my.txt"
    path.write_text("# all\n\nin/b-c.png\n  in/a.png  \nhttps://host/x?y=1\n", encoding=encoding)
    listing = find_files(str(path))
    assert listing.names == (
        str(folder / "b-c.png"),
        str(folder / "a.png"),
        "https://host/x?y=1",
    )
    path.write_text("in/a.png\nin/b-c.png\nhttps://host/x?y=1\n")
    assert find_files(str(path)).sha256 != listing.sha256
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MagkitError, match="not a text list"):
        find_files(str(path))


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file.dat").write_bytes(b"")
    for name in ("absent", "file.dat", "absent.zip"):
        with pytest.raises(MagkitError, match="no folder"):
            find_files(str(tmp_path / name))
    with pytest.raises(MagkitError, match="can't be read"):
        find_files(str(tmp_path / "absent.txt"))
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    with pytest.raises(MagkitError, match="not a zip file"):
        find_files(str(tmp_path / "broken.zip"))
    assert find_files("memory://absent/bucket").names == ()


def test_a_bucket_that_can_not_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no credentials\nand more")

    monkeypatch.setattr(MemoryFileSystem, "find", refuse)
    with pytest.raises(MagkitError, match=r"memory://some can't be listed: no credentials$"):
        find_files("memory://some")


@pytest.mark.skipif(os.name != "posix", reason="links and pipes need no rights on POSIX alone")
def test_only_files_count(folder: Path) -> None:
    (folder / "away.png").symlink_to(folder / "nowhere")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    assert len(find_files(str(folder), {".png"})) == len(NAMES)
