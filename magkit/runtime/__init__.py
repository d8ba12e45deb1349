"""What every part stands on: devices, threads, seeds, and files written whole or not at all."""
