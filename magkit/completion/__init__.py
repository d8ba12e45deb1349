"""Completion in shells: scripts made from the tree of commands, and the values they ask for."""
