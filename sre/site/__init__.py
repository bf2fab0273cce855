"""How does a lost cluster come back on empty nodes, from what another region has?

Above the wings: backups know no clusters, failover knows no backups, and here both are used.
"""
