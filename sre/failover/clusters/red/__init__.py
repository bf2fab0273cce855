"""How is a set of Redis servers watched and switched, with or without sentinels above it?"""
