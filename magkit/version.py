"""The version of magkit."""

__version__ = "0.1.0"
