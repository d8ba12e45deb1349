"""What a list or a recipe may name: anything from this machine, elsewhere only its own origin.

Whoever wrote a file that lies elsewhere chooses which places are opened. Such a file may name what
lies where it lies itself: the same scheme and host with its port, or the same bucket. Otherwise it
could have files of this machine read, or addresses that only this machine's network reaches.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from magkit.errors import UsageError

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
    """Return where a place lies; None: on this machine.

    The host is taken to the letter but for case and the scheme's usual port: a user's name or a
    backslash in it make another one.
    """
    found = _URL.match(place)
    if not found or found[1].lower() == "file":
        return None
    scheme = found[1].lower()
    host = found[2].lower().removesuffix(_PORTS.get(scheme, "\0"))
    return Origin(_SAME.get(scheme, scheme), host)


def check_named(place: str, document: str) -> None:
    """Check that a list or a recipe may name a place.

    Args:
        place: as the document names it.
        document: where that lies; of a chain of fsspec's (`simplecache::gs://...`) the last link
            counts.

    Raises:
        UsageError: the document lies elsewhere, and the place outside of its origin.
    """
    home = origin(document.rpartition("::")[2] if "://" in document else document)
    if home is None or origin(place) == home:
        return
    what = "a place outside of" if origin(place) else "a file of this machine, not of"
    raise UsageError(
        f"{document} names {place}, {what} {home}",
        "download it, look at what it names, and give the copy: from this machine it may name all",
    )
