"""Who starts backups, verifications and copies at the right time?"""
