"""Does a DNS server answer as a `dns` module of blackbox_exporter wants it?"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sre.core.errors import MissingExtra, UsageError
from sre.journey.guard import Admission
from sre.probes.blackbox.model import BlackboxContext, DnsOptions, DnsValidator, Module
from sre.probes.blackbox.regexp import compiled
from sre.probes.blackbox.resolve import choose
from sre.probes.blackbox.session import attempt_of, dialled, encrypted, split_host_port
from sre.probes.dial import Attempt, Trouble
from sre.probes.dnsquery import Answer, Question, Record, ask, known

__all__ = ["DnsProber", "valid_records"]

_COUNTS = ("probe_dns_answer_rrs", "probe_dns_authority_rrs", "probe_dns_additional_rrs")


@dataclass(frozen=True)
class DnsProber:
    """Asks the target `query_name`, and judges what comes."""

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        """Whether the answer is the one that the module wants."""
        metrics, options = context.metrics, module.dns
        for phase in ("resolve", "connect", "request"):
            metrics.zero("probe_dns_duration_seconds", phase=phase)
        metrics.zero(*_COUNTS, "probe_dns_query_succeeded")
        if options is None:
            context.log("error", "The module has no dns section")
            return False
        try:
            return _look(target, options, context)
        except (UsageError, MissingExtra, ValueError) as error:
            context.log("error", "The module cannot be used", err=str(error))
            return False


def _look(target: str, options: DnsOptions, context: BlackboxContext) -> bool:
    question = Question(
        options.query_name,
        options.query_type or "ANY",
        options.query_class or "IN",
        options.recursion_desired,
        edns=False,
    )
    if not known(question):
        context.log("error", "Invalid query class or type", type=question.type)
        return False
    place = split_host_port(target) or (target, 853 if options.dns_over_tls else 53)
    admission = choose(
        context, *place, options.preferred_ip_protocol, fallback=options.ip_protocol_fallback
    )
    if admission is None:
        return False
    context.metrics.set("probe_dns_duration_seconds", admission.seconds or 0.0, phase="resolve")
    if options.dns_over_tls and options.transport_protocol != "tcp":
        context.log("error", "Expected transport protocol tcp for DoT")
        return False
    if options.source_ip_address:
        ipaddress.ip_address(options.source_ip_address)
    answer = _asked(question, admission, options, context, place[0])
    return answer is not None and _judged(answer, options, context)


def _asked(
    question: Question,
    admission: Admission,
    options: DnsOptions,
    context: BlackboxContext,
    host: str,
) -> Answer | None:
    attempt, began = attempt_of("dns", context), time.monotonic()
    tcp = options.transport_protocol == "tcp"
    try:
        return ask(
            attempt,
            admission,
            question,
            stream=(lambda: _stream(attempt, admission, options, host)) if tcp else None,
            source=options.source_ip_address,
            again=False,
        )
    except Trouble as trouble:
        context.log("error", "Error while sending a DNS query", err=trouble.message)
        return None
    finally:
        request = attempt.phases.get("processing", 0.0)
        connect = max(0.0, time.monotonic() - began - request)
        context.metrics.set("probe_dns_duration_seconds", connect, phase="connect")
        context.metrics.set("probe_dns_duration_seconds", request, phase="request")


def _stream(
    attempt: Attempt, admission: Admission, options: DnsOptions, host: str
) -> socket.socket:
    raw = dialled(attempt, admission, options.source_ip_address)
    if not options.dns_over_tls:
        return raw
    try:
        return encrypted(attempt, options.tls_config, host)(raw)
    except BaseException:
        raw.close()
        raise


def _judged(answer: Answer, options: DnsOptions, context: BlackboxContext) -> bool:
    metrics = context.metrics
    counts = (
        len(answer.answers),
        len(answer.authority),
        len(answer.additional) + answer.extended,
    )
    for name, count in zip(_COUNTS, counts, strict=True):
        metrics.set(name, count)
    metrics.set("probe_dns_query_succeeded", 1)
    if options.query_type == "SOA":
        metrics.set("probe_dns_serial", answer.serial or 0)
    if answer.rcode not in (options.valid_rcodes or ("NOERROR",)):
        context.log("error", "Rcode is not one of the valid rcodes", rcode=answer.rcode)
        return False
    sections = (
        ("Answer", answer.answers, options.validate_answer_rrs),
        ("Authority", answer.authority, options.validate_authority_rrs),
        ("Additional", answer.additional, options.validate_additional_rrs),
    )
    for name, records, validator in sections:
        wrong = valid_records(records, validator)
        if wrong:
            context.log("error", f"{name} RRs validation failed", err=wrong)
            return False
    return True


def valid_records(records: Sequence[Record], wanted: DnsValidator) -> str:
    """What is wrong with the records of a section, empty when nothing is (pure)."""
    texts = [record.text("\t") for record in records]

    def matches(pattern: str, text: str) -> bool:
        return compiled(pattern).search(text) is not None

    if not texts and (wanted.fail_if_not_matches_regexp or wanted.fail_if_none_matches_regexp):
        return "a match is wanted, but there are no records"
    if any(matches(one, text) for one in wanted.fail_if_matches_regexp for text in texts):
        return "a record matches fail_if_matches_regexp"
    if not all(matches(one, text) for one in wanted.fail_if_not_matches_regexp for text in texts):
        return "a record does not match fail_if_not_matches_regexp"
    # Its name says the opposite, but this is what every version of blackbox_exporter does.
    if not all(matches(one, text) for one in wanted.fail_if_all_match_regexp for text in texts):
        return "not all records match fail_if_all_match_regexp"
    some = wanted.fail_if_none_matches_regexp
    if some and not any(matches(one, text) for one in some for text in texts):
        return "no record matches fail_if_none_matches_regexp"
    return ""
