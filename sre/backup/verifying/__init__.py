"""Would a backup save us?"""
