"""How do backups get to a second store, and how far behind is it?"""
