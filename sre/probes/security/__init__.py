"""Which weaknesses does a shop show to anybody who asks? Rules here, requests in the kind.

`findings` is the closed list; `headers` and `page` judge one answer, `exposed` the files that
should not be there; `fetch` asks.
"""
