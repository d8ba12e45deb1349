"""Lists of files of a folder, zip, glob, text list or bucket, and their match with COCO images."""

from __future__ import annotations

import glob
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from magkit.errors import MagkitError, UsageError
from magkit.runtime.text import decode_text
from magkit.synth.storage import (
    IN_ZIP,
    absolute,
    filesystem,
    first_line,
    on_disk,
    open_zip,
    read_bytes,
    scheme,
)

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)")
_PORTS = {"http": ":80", "https": ":443"}
_SAME = {"gcs": "gs"}  # two names of one scheme


class Origin(NamedTuple):
    """Scheme and host with port, or bucket."""

    scheme: str
    host: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"


def origin(place: str) -> Origin | None:
    """Return the origin of a place; None if it is local.

    Hosts are compared literally but for case and the scheme's default port.
    """
    found = _URL.match(place)
    if not found or found[1].lower() == "file":
        return None
    scheme = found[1].lower()
    host = found[2].lower().removesuffix(_PORTS.get(scheme, "\0"))
    return Origin(_SAME.get(scheme, scheme), host)


def check_origin(place: str, document: str) -> None:
    """Check that a list or a recipe may name a place.

    Args:
        place: as the document names it.
        document: its place; of a chained URL (`simplecache::gs://...`) the last link counts.

    Raises:
        UsageError: the document is remote, and the place has another origin.
    """
    home = origin(document.rpartition("::")[2] if "://" in document else document)
    if home is None or origin(place) == home:
        return
    what = "a place outside of" if origin(place) else "a file of this machine, not of"
    raise UsageError(
        f"{document} names {place}, {what} {home}",
        "download it, look at what it names, and give the copy: from this machine it may name all",
    )


Kind = Literal["folder", "zip", "glob", "list", "bucket"]
Sized = Iterable[tuple[str, int | None]]  # names and sizes in bytes, where known


@dataclass(frozen=True, slots=True)
class Listing:
    """Files in a fixed order: sorted by folder and name, or that of a text list.

    Attributes:
        kind: what was listed.
        location: where, absolute.
        prefix: what makes a place of a name.
        names: of the files, from the location on.
        sha256: of all names and sizes in their order.
        skipped: how many files were left out by `keep`.
    """

    kind: Kind
    location: str
    prefix: str
    names: tuple[str, ...]
    sha256: str
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def place(self, number: int) -> str:
        """Return where file `number` lies, for `storage.read_bytes`."""
        return self.prefix + self.names[number]

    def keep(self, wanted: Callable[[str], bool]) -> Listing:
        """Return the listing of the wanted files; the hash remains that of all."""
        names = tuple(name for name in self.names if wanted(self.prefix + name))
        return replace(self, names=names, skipped=self.skipped + len(self.names) - len(names))

    def describe(self) -> dict[str, Any]:
        """Return kind, location, count, skipped and sha256 as a JSON object."""
        return {
            "kind": self.kind,
            "location": self.location,
            "count": len(self.names),
            "skipped": self.skipped,
            "sha256": self.sha256,
        }


def find_files(location: str, suffixes: Collection[str] | None = None) -> Listing:
    """List the files of a location without reading them.

    Args:
        location: a folder or bucket with its sub-folders; a `.zip`; a glob; a `.txt` list of one
            path or URL per line, relative ones from the list on, `#` before comments. An
            `https://` URL is a list, whatever its suffix, unless it is a zip.
        suffixes: of wanted files, in lower case; None: all. They don't apply to a list.

    Raises:
        MagkitError: there is nothing there, or it can't be reached.
        UsageError: nothing reads such a place.
    """
    location = absolute(location)
    name = scheme(location)
    if location.lower().endswith(".zip") and (name or Path(location).is_file()):
        return _listing("zip", location, location + IN_ZIP, _members(location), suffixes)
    if location.lower().endswith(".txt") or name in ("http", "https"):
        return _list(location)
    if glob.has_magic(location) and (name or not Path(location).exists()):
        location = location if name else Path(location).as_posix()
        prefix = re.split(r"[*?[]", location)[0].rpartition("/")[0] + "/"
        found = _remote(location, prefix) if name else _globbed(location, prefix)
        return _listing("glob", location, prefix, found, suffixes)
    if name:
        prefix = location.rstrip("/") + "/"
        return _listing("bucket", location, prefix, _remote(location, prefix), suffixes)
    if not Path(location).is_dir():
        hint = "a folder, a .zip, a glob, a .txt list of paths and URLs, gs:// or s3://"
        raise MagkitError(f"there is no folder {location}", hint)
    return _listing("folder", location, Path(location).as_posix() + "/", _walk(location), suffixes)


def _listing(
    kind: Kind, location: str, prefix: str, found: Sized, suffixes: Collection[str] | None
) -> Listing:
    """Sort files and hash their names and sizes."""
    wanted = [
        item
        for item in found
        if suffixes is None or os.path.splitext(item[0])[1].lower() in suffixes  # noqa: PTH122
    ]
    wanted.sort(key=lambda item: item[0].split("/"))
    return Listing(kind, location, prefix, tuple(name for name, _ in wanted), _digest(wanted))


def _digest(files: Sized) -> str:
    digest = sha256()
    for name, size in files:
        digest.update(f"{name}\t{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _walk(root: str) -> Sized:
    """Yield the files below a folder; links to folders are not followed."""
    start = len(Path(root).as_posix()) + 1
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if (size := _size(path)) is not None:
                yield path.as_posix()[start:], size


def _globbed(pattern: str, prefix: str) -> Sized:
    for text in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - of absolute patterns too
        if (size := _size(Path(text))) is not None:
            yield Path(text).as_posix().removeprefix(prefix), size


def _size(path: Path) -> int | None:
    """Return a file's size in bytes; None if it is missing or no regular file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _members(location: str) -> Sized:
    for info in open_zip(location).infolist():
        if not info.is_dir():
            yield info.filename, info.file_size


def _remote(location: str, prefix: str) -> Sized:
    """Yield a bucket's files, by their names from the prefix on."""
    system = filesystem(scheme(location))
    try:
        find = system.glob if glob.has_magic(location) else system.find
        found: dict[str, dict[str, Any]] = find(location, detail=True)
        # Cached listings hold much more than is needed here.
        system.invalidate_cache()
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{location} can't be listed: {first_line(error)}") from error
    root = system._strip_protocol(prefix).rstrip("/") + "/"  # noqa: SLF001 - has no public name
    for path, info in found.items():
        if info.get("type") == "file":
            yield path.removeprefix(root), info.get("size")


def _list(location: str) -> Listing:
    lines = _lines(location)
    places = [_resolve(line, location) for line in lines]
    sizes = [_size(Path(p)) if on_disk(p) else None for p in places]
    digest = _digest(zip(lines, sizes, strict=True))
    return Listing("list", location, "", tuple(places), digest)


def _lines(location: str) -> list[str]:
    try:
        text = decode_text(read_bytes(location))
    except ValueError as error:
        raise MagkitError(f"{location} is not a text list: {error}") from error
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _resolve(entry: str, location: str) -> str:
    """Return the place that a list's line names.

    A list from elsewhere names only what lies where it lies itself, see `magkit.synth.listing`.
    """
    own, kind = scheme(location), scheme(entry)
    if kind:
        check_origin(entry, location)
        return entry
    if not own:
        return str(Path(location).parent / entry)
    if entry.startswith(("/", "\\")) or ".." in entry.split("/") or ":" in entry[:3]:
        raise UsageError(f"{location} names {entry}: neither a URL nor a path below the list")
    return location.rpartition("/")[0] + "/" + entry


MISSING = -1
_WEB = re.compile(r"https?://", re.IGNORECASE)
_ROOT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/]*|[A-Za-z]:(?=[\\/])")
_HINT = "name the folder that file_name is relative to, or give file_name with its folders"


class _Rank(NamedTuple):
    """How well a file matches a name; all zero if only the last part is equal."""

    shared: int = 0  # parts of the path, from the last one on
    exact: bool = False  # in the same case
    equal: bool = False  # the path below the listed folder is the name


@dataclass(frozen=True, slots=True)
class _Match:
    """An image's match with a file."""

    number: int
    rank: _Rank
    name: tuple[str, ...]


def match_pictures(names: Sequence[str], listing: Listing, wanted: Container[int]) -> list[int]:
    """Return the number of each image's file, or -1 where there is none.

    Args:
        names: path or URL of each image's picture.
        listing: the files.
        wanted: images that must not be ambiguous; an ambiguous other one has no file.

    Raises:
        MagkitError: several files match an image equally well, or several images a file.
    """
    files = _Files(listing)
    claims = [_best_match(number, name, files, wanted) for number, name in enumerate(names)]
    best: dict[int, _Match] = {}
    for file, claim in claims:
        best[file] = max(best.get(file, claim), claim, key=lambda each: each.rank)
    for file, claim in claims:
        rival = best[file]
        tied = file != MISSING and claim.rank == rival.rank and claim.name != rival.name
        if tied and (claim.number in wanted or rival.number in wanted):
            both = " or ".join("/".join(each.name) for each in (rival, claim))
            raise MagkitError(f"{listing.place(file)} may be the picture {both}", _HINT)
    return [
        file if file != MISSING and best[file].name == claim.name else MISSING
        for file, claim in claims
    ]


def _best_match(
    number: int, name: str, files: _Files, wanted: Container[int]
) -> tuple[int, _Match]:
    ranked = files.ranked(parts := path_parts(name))
    top = max(ranked.values(), default=_Rank())
    found = [file for file, rank in ranked.items() if rank == top]
    if len(found) > 1 and number in wanted:
        places = " or ".join(files.listing.place(file) for file in found[:2])
        more = f" ({len(found)} files bear that name)" if len(found) > 2 else ""
        raise MagkitError(f"the picture '{name}' may be {places}{more}", _HINT)
    return found[0] if len(found) == 1 else MISSING, _Match(number, top, parts)


class _Files:
    """The files of a listing by the last part and by the last two parts of their places."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._above = path_parts(listing.prefix)
        self._by_end: dict[tuple[str, ...], list[int]] = {}
        for number in range(len(listing)):
            end = tuple(_folded(part) for part in self._place(number)[-2:])
            for key in {end, end[-1:]}:
                self._by_end.setdefault(key, []).append(number)

    def ranked(self, name: tuple[str, ...]) -> dict[int, _Rank]:
        """Return the files that agree with a name, and how well; those that agree best, at least.

        Where no path agrees, these are all files whose last part is the name's.
        """
        end = tuple(_folded(part) for part in name[-2:])
        ranks = {number: self._rank(name, number) for number in self._by_end.get(end, ())}
        agreeing = {number: rank for number, rank in ranks.items() if rank.shared}
        return agreeing or dict.fromkeys(self._by_end.get(end[-1:], ()), _Rank())

    def _place(self, number: int) -> tuple[str, ...]:
        return (*self._above, *path_parts(self.listing.names[number]))

    def _rank(self, name: tuple[str, ...], number: int) -> _Rank:
        place = self._place(number)
        below = len(place) - len(self._above)
        shared = sum(1 for _ in _agreeing(name, place))
        if shared < min(len(name), below):
            return _Rank()
        exact = name[-shared:] == place[-shared:]
        return _Rank(shared, exact, shared >= len(name) == below)


def _agreeing(one: tuple[str, ...], other: tuple[str, ...]) -> Iterator[str]:
    """Yield the parts that two paths share, from the last one on."""
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right and _folded(left) != _folded(right):
            return
        yield left


def _folded(part: str) -> str:
    return part.lower() if part.isascii() else unicodedata.normalize("NFC", part).casefold()


def path_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path or a URL's path, without what leads out of a folder.

    A drive, a host or bucket, a URL's query, `.` and what `..` takes back are left out, and
    Windows' separators are ones.
    """
    text = name.strip()
    if ":" in text:
        if _WEB.match(text):
            text = unquote(urlsplit(text).path)
        if root := _ROOT.match(text):
            text = text[root.end() :]
    parts: list[str] = []
    for part in text.replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)
