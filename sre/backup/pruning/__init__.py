"""How are backups removed from a store, so that nothing that counts is ever half there?"""
