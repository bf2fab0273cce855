"""Which long-term keys open which backups, and how does that change without touching data?"""
