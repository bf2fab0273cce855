"""How does the shop give up a part of itself on purpose, and get exactly that part back?

A level of `degrade:` is a list of doings (doings/); each comes down to places that have a value
(places/): a key of a HAProxy map in its file and at run time, a file, a request and its undoing.
What stood in every place is on disk before the first of them changes (record.py), several levels
may lie on one place (layers.py), and `engine.py` brings a level about or takes it back.
"""
