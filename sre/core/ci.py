"""Does a CI service run us, and how is it told what a person should see there?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

__all__ = ["SUMMARY_LIMIT", "add_to_step_summary", "annotation", "in_github_actions"]

SUMMARY_LIMIT = 1024 * 1024
"""Bytes that GitHub takes of one step's summary; more, and it shows nothing."""


def in_github_actions() -> bool:
    """Whether workflow commands are read here."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def add_to_step_summary(markdown: str) -> str:
    """Add to the summary of the step, where there is one and there is room.

    Returns what went wrong, in words; empty when nothing did, or when nobody asked for one.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return ""
    data = markdown.encode()
    try:
        with Path(path).open("ab") as file:
            if file.tell() + len(data) > SUMMARY_LIMIT:
                return f"the summary of this step is full: {path} would be above 1 MiB"
            file.write(data)
    except OSError as error:
        return f"the step's summary {path} could not be written: {error.strerror}"
    return ""


def annotation(level: Literal["error", "warning", "notice"], title: str, message: str) -> str:
    """A workflow command that shows `message` at the top of the run."""
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
