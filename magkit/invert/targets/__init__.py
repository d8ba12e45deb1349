"""The targets that ship with magkit."""
