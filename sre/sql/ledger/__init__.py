"""Which of the writes that a client was told are safe are still there after the fault?

`writing` numbers and paces writes, `record` keeps what happened to each, an engine carries them,
`reading` reads them back, and `judge` and `gaps` say, without touching anything, what was lost
and for how long nothing could be written.
"""
