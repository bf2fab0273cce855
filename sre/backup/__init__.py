"""What is backed up, where, encrypted to whom, and was it ever really restored?"""
