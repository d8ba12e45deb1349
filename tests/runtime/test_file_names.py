"""Names are cut to what a file system takes, between characters."""

from hypothesis import given
from hypothesis import strategies as st

from magkit.runtime.files import LONGEST, fitted


def test_what_fits_stays() -> None:
    assert fitted("clip", "_x10.mp4") == "clip_x10.mp4"
    assert fitted("n" * 247, "_x10.mp4") == "n" * 247 + "_x10.mp4"
    assert fitted("n" * 248, "_x10.mp4") == "n" * 247 + "_x10.mp4"
    assert fitted("文" * 84, ".mp4") == "文" * 83 + ".mp4"


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.text("ab.", max_size=40))
def test_as_much_as_fits_is_kept(stem: str, end: str) -> None:
    name = fitted(stem, end)
    kept = name.removesuffix(end)
    assert name == kept + end
    assert stem.startswith(kept)
    assert len(name.encode()) <= LONGEST
    rest = stem[len(kept) : len(kept) + 1]
    assert not rest or len((kept + rest + end).encode()) > LONGEST
