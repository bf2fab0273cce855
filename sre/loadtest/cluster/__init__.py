"""How do several hosts share one load? Through Locust's own master and workers."""
