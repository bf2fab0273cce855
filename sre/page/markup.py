"""How does a text become part of a page? Masked first, then escaped: a mask is text too."""

from __future__ import annotations

import html

from sre.core.secrets import redactor
from sre.page import words

__all__ = ["escape", "stamp"]


def escape(text: str) -> str:
    """`text` without secrets and without markup, in an element or a quoted attribute."""
    return html.escape(redactor.mask(text), quote=True)


def stamp(at: float, now: float) -> str:
    """A moment as people read it, exact for programs."""
    return f'<time datetime="{words.iso(at)}">{words.moment(at, now)}</time>'
