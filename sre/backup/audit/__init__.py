"""Who changed what in a store, and is that record whole?"""
