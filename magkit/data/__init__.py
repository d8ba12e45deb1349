"""What stands on disk or in a bucket: data sets of scenes, written and read in four formats."""
