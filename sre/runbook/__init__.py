"""Runbooks: Markdown that a person can paste and a machine can follow, resume and rehearse."""
