"""How is a set of MariaDB servers with GTID replication watched, judged and switched?"""
