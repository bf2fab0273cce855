"""Which route does a path belong to: all products one, and no customer a label? (pure)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

__all__ = ["OTHER", "Routes", "is_identity", "normal_path"]

OTHER = "other"
"""The route of what is no path at all, and of whatever a caller has no room for."""

_MAX_CACHE = 20_000
_MAX_KNOWN = 256
_MAX_DEPTH = 6
_MAX_LABEL = 120
_PARAMETER = re.compile(r":[A-Za-z_]\w*|\{[A-Za-z_]\w*\}")
_BYTES = re.compile(r"\\x([0-9A-Fa-f]{2})")
_SLASHES = re.compile(r"//+")
_ASSET = re.compile(
    r".*\.(?:css|js|mjs|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|otf|eot|mp4|webm|pdf)",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[A-Za-z0-9._~-]{1,40}")
_IDENTITY = re.compile(
    r"""
      [\d.,:_-]*\d[\d.,:_-]*                      # numbers, dates, addresses
    | [0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-.*     # UUID
    | (?=[^-_]*\d)[0-9A-Fa-f]{8,}                 # hash
    | .*[-_]\d+                                   # slug-42
    | \d+[-_].*                                   # 42-slug
    | [A-Za-z]{1,8}[-_]?\d{3,}                    # SKU1234, order-1001
    | (?=.*\d)[A-Za-z0-9_-]{16,}                  # token with digits
    | [A-Za-z0-9_~-]{24,}                         # token, long slug
    | (?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9_-]{10,}
    | .*@.*
    """,
    re.VERBOSE,
)
_COLLECTIONS = frozenset(
    {
        "user", "users", "u", "profile", "profiles", "member", "members", "customer", "customers",
        "author", "authors", "people", "seller", "sellers", "vendor", "vendors", "search", "tag",
        "tags", "reset", "invite", "verify", "confirm", "activate", "unsubscribe", "product",
        "products", "p", "item", "items", "coupon", "voucher",
    }
)  # fmt: skip
"""What follows one of these names somebody or something, whatever it looks like …"""

_ACTIONS = frozenset(
    {
        "login", "logout", "signin", "signup", "register", "new", "me", "edit", "settings",
        "password", "search", "list", "done", "complete", "suggest",
    }
)  # fmt: skip
"""… unless it is one of these."""


class Routes:
    """Templates of paths: the declared ones first, then an automatic one.

    `/product/:slug` and `/product/{slug}` take one segment, `/static/*` whatever follows. The
    first that matches wins; a slash at the end makes no difference. Automatic: segments that look
    like numbers, identifiers, hashes, tokens or free text, and what follows `users`, `product` and
    the like, become `:id`, assets `/folder/:file`.
    Thread-safe; remembers recent answers.
    """

    def __init__(self, declared: Sequence[str] = ()) -> None:
        """Raises ValueError: one is no template."""
        self.declared = tuple(declared)
        for text in self.declared:
            _check(text)
        parts = "|".join(f"({_expression(text)})" for text in self.declared)
        self._expression = re.compile(parts) if parts else None
        self._cache: dict[str, str] = {}

    def template(self, path: str) -> str:
        """The route of a path without query string; `other` when it is none."""
        found = self._cache.get(path)
        if found is None:
            found = self._find(path)
            if len(path) <= _MAX_KNOWN:
                if len(self._cache) >= _MAX_CACHE:
                    self._cache.clear()
                self._cache[path] = found
        return found

    def match(self, path: str) -> str | None:
        """The declared template that a path matches, None when there is none."""
        found = self._expression.fullmatch(_normal(path)) if self._expression else None
        return self.declared[(found.lastindex or 1) - 1] if found else None

    def _find(self, path: str) -> str:
        if not path.startswith("/"):
            return OTHER
        return self.match(path) or _automatic(_normal(path))


def normal_path(path: str) -> str:
    """A path as templates are held against it: decoded, single slashes, none at the end."""
    return _normal(path)


def is_identity(segment: str, before: str = "") -> bool:
    """Whether a segment (after `before`) is one of many: a number, a slug, a product's name."""
    return _segment(segment, before) == ":id"


def _check(text: str) -> None:
    if not text.startswith("/") or len(text) > _MAX_LABEL or set(text) & set("?# \"'\n"):
        raise ValueError(
            f"route {text!r} must look like '/product/:slug': a path of up to {_MAX_LABEL} "
            "characters, without query string"
        )


def _expression(template: str) -> str:
    pieces = []
    for segment in template.strip("/").split("/"):
        if _PARAMETER.fullmatch(segment):
            pieces.append(r"/[^/]+")
        elif segment == "*":
            pieces.append(r"(?:/.*)?")
        elif segment:
            pieces.append("/" + ".*".join(re.escape(part) for part in _decoded(segment).split("*")))
    return "".join(pieces) or "/"


def _decoded(path: str) -> str:
    """Percent signs, and the \\xHH of nginx' logs, as the characters they stand for."""
    if "\\x" in path:
        path = _BYTES.sub(r"%\1", path)
    return unquote(path, errors="replace") if "%" in path else path


def _normal(path: str) -> str:
    path = _SLASHES.sub("/", _decoded(path))
    return path.rstrip("/") or "/"


def _automatic(path: str) -> str:
    segments = path.strip("/").split("/")
    if _ASSET.fullmatch(segments[-1]):
        folder = segments[0] if len(segments) > 1 else ""
        return f"/{_segment(folder)}/:file" if folder else "/:file"
    kept = [
        _segment(segment, before)
        for before, segment in zip(["", *segments], segments[:_MAX_DEPTH], strict=False)
    ]
    route = "/" + "/".join(kept) + ("/*" if len(segments) > _MAX_DEPTH else "")
    return route if len(route) <= _MAX_LABEL else f"/{kept[0]}/*"


def _segment(text: str, before: str = "") -> str:
    """The segment, or `:id` when it is one of many or could be about somebody."""
    if not text:
        return ""
    if before.lower() in _COLLECTIONS and text.lower() not in _ACTIONS:
        return ":id"
    if _PLAIN.fullmatch(text) and not _IDENTITY.fullmatch(text):
        return text
    return ":id"
