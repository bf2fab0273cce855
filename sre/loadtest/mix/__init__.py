"""Which mix and which curve does a shop's own access log show?"""
