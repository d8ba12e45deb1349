"""Writes new plugin packages that provide a method, a target or a magnifier."""

from magkit.plugins import Kind
from magkit.scaffold.package import Names, refuse_installed, refuse_taken, write_package

__all__ = ["Kind", "Names", "refuse_installed", "refuse_taken", "write_package"]
