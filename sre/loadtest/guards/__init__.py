"""What keeps a load test from doing harm: refused before it starts, stopped while it goes."""
