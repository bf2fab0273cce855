"""What is wrong with a module that its shape alone does not say: its prober, its expressions?"""

from __future__ import annotations

import difflib

from sre.core.config import Node, Problems, join_path
from sre.probes.blackbox.cel import CelError, program
from sre.probes.blackbox.regexp import fault
from sre.probes.blackbox.registry import PROBERS

__all__ = ["REFUSED", "check"]

REFUSED = ("unix", "websocket")
"""Probers of blackbox_exporter that are read, and refused when they are asked for."""

_EXPRESSIONS = frozenset((
    "fail_if_body_matches_regexp", "fail_if_body_not_matches_regexp", "regexp", "expect",
    "fail_if_matches_regexp", "fail_if_all_match_regexp", "fail_if_not_matches_regexp",
    "fail_if_none_matches_regexp",
))  # fmt: skip
_CEL = ("fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel")


def check(node: Node, where: str, problems: Problems) -> None:
    """One module; every problem at its line."""
    _check_prober(node, where, problems)
    _check_expressions(node, where, problems)


def _check_prober(node: Node, where: str, problems: Problems) -> None:
    prober = node.get("prober")
    known = (*PROBERS, *REFUSED)
    if prober is None:
        said = f"required key 'prober' is missing; add one of {', '.join(known)}"
        problems.add(node, where, said)
    elif prober.text not in known:
        close = difflib.get_close_matches(prober.text, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        problems.add(prober, f"{where}.prober", f"unknown prober {prober.text!r}; {hint}")
    elif prober.text == "dns" and node.get("dns") is None:
        problems.add(
            node, where, "query_name must be set for a DNS module; add dns: {query_name: …}"
        )


def _check_expressions(node: Node, path: str, problems: Problems, key: str = "") -> None:
    if node.kind == "scalar" and node.text:
        wrong = fault(node.text) if key in _EXPRESSIONS else _cel_fault(key, node.text)
        if wrong:
            problems.add(node, path, wrong)
    for index, element in enumerate(node.elements):
        _check_expressions(element, join_path(path, index), problems, key)
    for name, entry in node.entries.items():
        _check_expressions(entry.value, join_path(path, name), problems, name)


def _cel_fault(key: str, expression: str) -> str:
    try:
        if key in _CEL:
            program(expression)
    except CelError as error:
        return f"CEL: {error}"
    return ""
