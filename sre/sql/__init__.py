"""What do the wings ask databases, and how: sessions, invariants, the ledger."""
