"""How does a real Chromium look at one page for a probe, and how is it kept in bounds?

`door` lets its connections out, each admitted by the allow-list; `pageload` runs in a child process
and drives it; `session` starts that child, talks with it and surely ends it; `vitals` judges what
it saw; `shots` keeps pictures of failures.
"""
