"""What does a page's HTML give away: policies of its own, content without encryption? (pure)"""

from __future__ import annotations

from selectolax.lexbor import LexborHTMLParser

from sre.probes.security.findings import Findings

__all__ = ["judge_content", "policies_of"]

_ACTIVE = (
    ("script", "src"), ("iframe", "src"), ("object", "data"), ("embed", "src"), ("form", "action"),
)  # fmt: skip
_PASSIVE = (("img", "src"), ("audio", "src"), ("video", "src"), ("source", "src"))


def policies_of(html: bytes) -> str:
    """The content policy that `<meta http-equiv>` declares; empty without one."""
    for meta in LexborHTMLParser(html).css("meta[http-equiv]"):
        if (meta.attributes.get("http-equiv") or "").lower() == "content-security-policy":
            return meta.attributes.get("content") or ""
    return ""


def judge_content(findings: Findings, html: bytes, where: str) -> None:
    """What an https page loads, or sends, over plain http."""
    findings.looked("mixed_content_active", "mixed_content_passive")
    tree = LexborHTMLParser(html)
    for check, places in (("mixed_content_active", _ACTIVE), ("mixed_content_passive", _PASSIVE)):
        for tag, attribute in places:
            count = sum(_plain(node.attributes.get(attribute)) for node in tree.css(tag))
            if count:
                findings.found(check, f"{where}: {count} {tag} over http")
    sheets = [
        link
        for link in tree.css("link[href]")
        if "stylesheet" in (link.attributes.get("rel") or "").lower()
        and _plain(link.attributes.get("href"))
    ]
    if sheets:
        findings.found("mixed_content_active", f"{where}: {len(sheets)} stylesheet over http")


def _plain(address: str | None) -> bool:
    return (address or "").strip().lower().startswith("http://")
