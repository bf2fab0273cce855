"""How does a database's log reach the store all the time, and how does it come back?"""
