"""What do kinds of clusters share, whatever runs on their nodes?"""
