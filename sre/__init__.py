"""sre: watch, stress, back up, fail over and rehearse an online shop from one declaration."""

__version__ = "0.1.0"
