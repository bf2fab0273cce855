"""A small shop on a real database that newcomers and tests may break at will."""
