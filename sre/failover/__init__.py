"""How does a cluster change its primary, on purpose or in need, and what was lost on the way?"""
