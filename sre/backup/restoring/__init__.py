"""How does a backup become a running copy again?"""
