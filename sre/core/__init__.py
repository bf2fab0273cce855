"""The kernel: knows nothing of probes, load tests or backups."""
