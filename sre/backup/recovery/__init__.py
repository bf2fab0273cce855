"""How does a restored database get to a moment: a time, a position, a restore point, an order?"""
