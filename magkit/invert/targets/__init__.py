"""The models to invert that ship, a folder each."""
