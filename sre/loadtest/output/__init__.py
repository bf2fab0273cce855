"""How does a finished run read: on a terminal, in CI, in a browser, to a program?"""
