"""How does a text become part of a page? Masked first, then escaped: a mask is text too."""

from __future__ import annotations

import html

from sre.core.secrets import redactor

__all__ = ["escape"]


def escape(text: str) -> str:
    """`text` without secrets and without markup, in an element or a quoted attribute."""
    return html.escape(redactor.mask(text), quote=True)
