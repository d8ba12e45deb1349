"""SCRL: spatially consistent representations."""
