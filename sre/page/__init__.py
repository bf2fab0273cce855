"""The status page: what is up, slow or failing, since when, and what is left of each promise."""
