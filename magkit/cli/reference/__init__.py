"""The command reference and the man page, made of the commands as they are declared.

`python -m magkit.cli.reference` writes both; a test tells when they are out of date.
"""
