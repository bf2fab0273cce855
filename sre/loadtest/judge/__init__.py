"""What came of a run, and what does it mean? Pure."""
