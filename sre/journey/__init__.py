"""The customer's path through the shop: declared once, driven as a probe and as load."""
