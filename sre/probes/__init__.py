"""Is the shop well, asked from outside, again and again?"""
