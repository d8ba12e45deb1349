"""Devices, seeds, processes, atomic files and weights files."""
