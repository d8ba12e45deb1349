"""Data sets of scenes on disk or in a bucket, written and read in four formats."""
