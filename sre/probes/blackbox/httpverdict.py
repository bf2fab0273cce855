"""Is an answer as the module wants it? Judged in blackbox_exporter's order (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sre.probes.blackbox.cel import CelError, decide
from sre.probes.blackbox.httphop import Answer
from sre.probes.blackbox.modules import HttpOptions
from sre.probes.blackbox.regexp import compiled, searchable

__all__ = ["Verdict", "content_length", "judge", "last_modified", "needs_text"]

_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


@dataclass
class Verdict:
    """The outcome, and which part of the module decided it.

    Attributes:
        regex: 1 an expression failed the probe; None: the status had decided before.
        cel: the same for CEL.
        said: (level, message, fields) for the log.
    """

    good: bool = False
    regex: int | None = None
    cel: int | None = None
    said: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def say(self, level: str, message: str, **fields: Any) -> None:
        self.said.append((level, message, fields))


def needs_text(options: HttpOptions) -> bool:
    """Whether the body has to be kept."""
    return bool(
        options.fail_if_body_matches_regexp
        or options.fail_if_body_not_matches_regexp
        or options.fail_if_body_json_matches_cel
        or options.fail_if_body_json_not_matches_cel
    )


def judge(options: HttpOptions, answer: Answer, *, abandoned: bool) -> Verdict:
    """The verdict on the last answer.

    Args:
        abandoned: a redirect that was not followed: its body was not read.
    """
    verdict = Verdict()
    verdict.good = _status_is_good(options, answer, verdict)
    if verdict.good and (options.fail_if_header_matches or options.fail_if_header_not_matches):
        verdict.good = all(_headers_are_good(options, answer, verdict))
        verdict.regex = int(not verdict.good)
    unread = answer.error or ("the body was not read" if abandoned else "")
    expressions = options.fail_if_body_matches_regexp or options.fail_if_body_not_matches_regexp
    if verdict.good and expressions:
        verdict.good = _body_is_good(options, answer.body.text, unread, verdict)
        verdict.regex = int(not verdict.good)
    cel = options.fail_if_body_json_matches_cel or options.fail_if_body_json_not_matches_cel
    if verdict.good and cel:
        verdict.good = _json_is_good(options, answer.body.text, unread, verdict)
        verdict.cel = int(not verdict.good)
    if answer.error:
        verdict.say("info", "Failed to read HTTP response body", err=answer.error)
        verdict.good = False
    if options.valid_http_versions and answer.protocol not in _versions(options):
        verdict.say("error", "Invalid HTTP version number", version=answer.protocol)
        verdict.good = False
    return _tls_decides(options, answer, verdict)


def _versions(options: HttpOptions) -> set[str]:
    """`HTTP/2` is what people write, `HTTP/2.0` what blackbox_exporter compares with."""
    return {
        f"{one}.0" if one in ("HTTP/2", "HTTP/3") else one for one in options.valid_http_versions
    }


def _tls_decides(options: HttpOptions, answer: Answer, verdict: Verdict) -> Verdict:
    if answer.tls and options.fail_if_ssl:
        verdict.say("error", "Final request was over SSL")
        verdict.good = False
    elif not answer.tls and options.fail_if_not_ssl and verdict.good:
        verdict.say("error", "Final request was not over SSL")
        verdict.good = False
    return verdict


def _status_is_good(options: HttpOptions, answer: Answer, verdict: Verdict) -> bool:
    verdict.say("info", "Received HTTP response", status_code=answer.status)
    if options.accept_any_response:
        return True
    if options.valid_status_codes:
        if answer.status in options.valid_status_codes:
            return True
        wanted = " ".join(map(str, options.valid_status_codes))
        message = "Invalid HTTP response status code"
        verdict.say("info", message, status_code=answer.status, valid_status_codes=f"[{wanted}]")
        return False
    if 200 <= answer.status < 300:
        return True
    message = "Invalid HTTP response status code, wanted 2xx"
    verdict.say("info", message, status_code=answer.status)
    return False


def _headers_are_good(options: HttpOptions, answer: Answer, verdict: Verdict) -> Iterator[bool]:
    """One answer for each expression; whoever asks stops at the first that is bad."""
    both = ((options.fail_if_header_matches, True), (options.fail_if_header_not_matches, False))
    for specs, fails_if_found in both:
        for spec in specs:
            values = answer.values(spec.header)
            if not values:
                if not spec.allow_missing:
                    verdict.say("error", "Missing required header", header=spec.header)
                yield spec.allow_missing
                continue
            expression = compiled(spec.regexp)
            texts = [searchable(value.encode("latin-1")) for value in values]
            found = any(expression.search(text) for text in texts)
            if found is fails_if_found:
                words = "matched" if found else "did not match"
                verdict.say(
                    "error", f"Header {words} regular expression",
                    header=spec.header, regexp=spec.regexp, value_count=len(values),
                )  # fmt: skip
            yield found is not fails_if_found


def _body_is_good(options: HttpOptions, text: bytes, unread: str, verdict: Verdict) -> bool:
    if unread:
        verdict.say("error", "Error reading HTTP body", err=unread)
        return False
    text = searchable(text)
    for expression in options.fail_if_body_matches_regexp:
        if compiled(expression).search(text):
            verdict.say("error", "Body matched regular expression", regexp=expression)
            return False
    for expression in options.fail_if_body_not_matches_regexp:
        if not compiled(expression).search(text):
            verdict.say("error", "Body did not match regular expression", regexp=expression)
            return False
    return True


def _json_is_good(options: HttpOptions, text: bytes, unread: str, verdict: Verdict) -> bool:
    if unread:
        verdict.say("error", "Error reading HTTP body", err=unread)
        return False
    both = (
        (options.fail_if_body_json_matches_cel, True, "matched"),
        (options.fail_if_body_json_not_matches_cel, False, "did not match"),
    )
    for expression, fails_if, words in both:
        try:
            if expression and decide(expression, text) is fails_if:
                verdict.say("error", f"Body {words} CEL expression", expression=expression)
                return False
        except CelError as error:
            verdict.say("error", "Error evaluating CEL expression", err=str(error))
            return False
    return True


def content_length(answer: Answer, method: str) -> int:
    """What the answer says about its length, -1 when it says nothing."""
    said = answer.header("content-length") or ""
    if said.isdigit() and "chunked" not in (answer.header("transfer-encoding") or "").lower():
        return int(said)
    if answer.status in (204, 304) and method != "HEAD":
        return 0
    ended = answer.protocol in ("HTTP/2.0", "HTTP/3.0") and not answer.body.size
    return 0 if ended and not answer.unread and method != "HEAD" else -1


def last_modified(answer: Answer) -> float | None:
    """`Last-Modified` in seconds since the epoch, None without a good one."""
    text = f"{answer.header('last-modified') or ''} +0000"
    for shape in _DATES:
        try:
            return datetime.strptime(text, f"{shape} %z").timestamp()
        except ValueError:
            continue
    return None
