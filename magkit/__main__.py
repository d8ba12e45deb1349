"""`python -m magkit`, and `torchrun -m magkit`."""

from magkit.cli import main

if __name__ == "__main__":
    main()
