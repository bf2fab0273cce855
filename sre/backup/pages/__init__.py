"""What of a database has changed since a backup, page by page?"""
