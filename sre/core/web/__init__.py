"""How does a small HTTP server of ours talk to Prometheus, to a load balancer, to an operator?"""
