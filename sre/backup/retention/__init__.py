"""Which backups go, which stay, and why? Pure: judges what `sre.backup.pruning` has read."""
