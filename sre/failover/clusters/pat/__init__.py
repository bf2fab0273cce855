"""How is a cluster watched, judged and switched that Patroni leads?"""
