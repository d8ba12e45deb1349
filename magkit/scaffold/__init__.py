"""Writes packages that provide a method, a target or a magnifier, for their authors to change."""

from magkit.scaffold.names import Kind, Names, refuse_installed, refuse_taken
from magkit.scaffold.write import write_package

__all__ = ["Kind", "Names", "refuse_installed", "refuse_taken", "write_package"]
