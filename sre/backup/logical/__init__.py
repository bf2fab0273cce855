"""Dumps of one database with its roles, and how they get into a server again."""
