"""How do one request's gauges and its log become text?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sre.core.secrets import redactor
from sre.probes.blackbox.model import LogLine, Metrics

__all__ = ["CONTENT_TYPE", "as_log", "as_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MAX_LABEL = 1024


def as_text(metrics: Metrics) -> str:
    """The text format, families and label sets sorted as blackbox_exporter's."""
    lines: list[str] = []
    for name, described, samples in metrics.families():
        lines += [f"# HELP {name} {_line(described)}", f"# TYPE {name} gauge"]
        for labels, value in samples:
            inside = ",".join(f'{key}="{_label(text)}"' for key, text in labels)
            lines.append(f"{name}{{{inside}}}" if inside else name)
            lines[-1] += f" {_number(value)}"
    return "\n".join(lines) + "\n"


def as_log(lines: Iterable[LogLine], module: str, target: str) -> str:
    """The log in blackbox_exporter's format (logfmt), secrets masked."""
    told = []
    for line in lines:
        at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds")
        pairs: list[tuple[str, Any]] = [
            ("ts", at.replace("+00:00", "Z")), ("module", module), ("target", target),
            ("level", line.level), ("msg", line.message), *line.fields,
        ]  # fmt: skip
        told.append(" ".join(f"{key}={_value(value)}" for key, value in pairs))
    return redactor.mask("\n".join(told))


def _number(value: float) -> str:
    whole = value.is_integer() and abs(value) < 2**53
    return str(int(value)) if whole else repr(value)


def _value(value: Any) -> str:
    text = str(value)
    bare = text and text.isprintable() and not any(c in text for c in ' "=')
    return text if bare else json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _label(text: str) -> str:
    """A label's value; what a stranger's certificate says is kept short and valid."""
    text = redactor.mask(text[:_MAX_LABEL]).encode("utf-8", "replace").decode("utf-8")
    return _line(text).replace('"', r"\"")
