"""A result appears whole or not at all, whatever ends the work on it."""

import errno
import os
from pathlib import Path
from typing import Literal

import pytest

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "new" / "deep" / "a.txt"
    with atomic_path(final) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not final.exists()
    assert final.read_text() == "whole"
    assert list(final.parent.iterdir()) == [final]


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "run"
    with atomic_path(final, kind="folder") as temporary:
        (temporary / "a").write_text("whole")
    assert (final / "a").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [final]


NAMES = ["n" * 255, "n" * 246 + ".safetensors"[:9], "é" * 127, "文" * 84 + ".gz", "a." + "b" * 253]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_names_as_long_as_a_file_system_takes(
    tmp_path: Path, kind: Literal["file", "folder"], name: str
) -> None:
    assert 250 < len(name.encode()) <= 255
    final = tmp_path / name
    for text in ("old", "new"):
        with atomic_path(final, kind=kind, overwrite=True) as temporary:
            part = temporary / "part" if kind == "folder" else temporary
            part.write_text(text)
    assert (final / "part" if kind == "folder" else final).read_text() == "new"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_pipe_is_never_replaced(tmp_path: Path, kind: Literal["file", "folder"]) -> None:
    final = tmp_path / "pipe"
    os.mkfifo(final)
    with (
        pytest.raises(MagkitError, match="not replaced"),
        atomic_path(final, kind=kind, overwrite=True),
    ):
        pytest.fail("the block must not run")
    assert final.is_fifo()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    final = tmp_path / ("n" * 256)
    with pytest.raises(MagkitError, match="too long"), atomic_path(final):
        pytest.fail("the block must not run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_the_block_fails(
    tmp_path: Path, kind: Literal["file", "folder"], stop: type[BaseException]
) -> None:
    def work() -> None:
        with atomic_path(tmp_path / "new" / "out.d", kind=kind) as temporary:
            part = temporary / "part" if kind == "folder" else temporary
            part.write_text("half")
            raise stop

    with pytest.raises(stop):
        work()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_exists_is_kept_unless_told(tmp_path: Path, kind: Literal["file", "folder"]) -> None:
    final = tmp_path / "out"
    if kind == "folder":
        final.mkdir()
        (final / "old").write_text("old")
    else:
        final.write_text("old")
    with pytest.raises(MagkitError, match="exists") as refused, atomic_path(final, kind=kind):
        pytest.fail("the block must not run")
    assert "--overwrite" in refused.value.hint
    with pytest.raises(ValueError, match="no"), atomic_path(final, kind=kind, overwrite=True):
        raise ValueError("no")
    assert (final / "old" if kind == "folder" else final).read_text() == "old"
    with atomic_path(final, kind=kind, overwrite=True) as temporary:
        (temporary / "new" if kind == "folder" else temporary).write_text("new")
    assert list(tmp_path.iterdir()) == [final]
    if kind == "folder":
        assert [entry.name for entry in final.iterdir()] == ["new"]
    else:
        assert final.read_text() == "new"


def test_what_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    final = tmp_path / "out"

    def work() -> None:
        with atomic_path(final) as temporary:
            temporary.write_text("mine")
            final.write_text("theirs")

    with pytest.raises(MagkitError, match="exists"):
        work()
    assert final.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [final]


def test_a_dangling_link_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(MagkitError, match="exists"), atomic_path(link):
        pytest.fail("the block must not run")
    assert link.is_symlink()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_one_sentence(tmp_path: Path, number: int) -> None:
    def work() -> None:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise OSError(number, "full")

    with pytest.raises(MagkitError, match="disk is full"):
        work()
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "missing").read_text()


@pytest.mark.parametrize("name", ["a", "deep/a"])
def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MagkitError, match="not a folder"), atomic_path(tmp_path / "file" / name):
        pytest.fail("the block must not run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
