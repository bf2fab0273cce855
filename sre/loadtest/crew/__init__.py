"""Who makes the load, and how does the parent talk to them?"""
