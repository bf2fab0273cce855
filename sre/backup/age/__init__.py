"""The age format (age-encryption.org/v1), as far as backups need it: X25519, binary, streamed."""
