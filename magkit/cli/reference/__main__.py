"""Writes docs/commands.md and man/magkit.1 of the checkout that it is started in."""

from __future__ import annotations

from pathlib import Path

from magkit.cli.app import app
from magkit.cli.reference.man import page
from magkit.cli.reference.markdown import document
from magkit.cli.reference.tree import read


def texts() -> dict[str, str]:
    """Return what belongs into each file, by its place in a checkout."""
    reference = read(app)
    return {"docs/commands.md": document(reference), "man/magkit.1": page(reference)}


def main() -> None:
    """Write both files."""
    for name, text in texts().items():
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
