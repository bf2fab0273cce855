"""How is plain PostgreSQL streaming replication seen, judged and switched?"""
