"""Which metrics does each wing export? One table each; core/metrics.py puts them together."""
