"""Is this run slower than the runs before, or is it noise?"""
