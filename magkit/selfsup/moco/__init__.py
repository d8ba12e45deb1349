"""MoCo v2: momentum contrast."""
