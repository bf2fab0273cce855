"""Which metrics does the product export, with which labels, and what do they mean?

Documents, rules and dashboards may name only what stands here; tests hold them, and the
exporters, to it; a kind of probe lists its own numbers beside its code. Labels are bounded: never
a URL, an order number or an error text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sre.core.errors import UsageError

__all__ = ["CATALOGUE", "MetricInfo", "describe", "series_of"]


_Type = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class MetricInfo:
    """One metric as a scraper sees it; counters end in `_total`."""

    name: str
    type: _Type
    help: str
    labels: tuple[str, ...] = ()


_PROBES = (
    MetricInfo(
        "sre_probe_attempts_total", "counter",
        "Runs of a probe by outcome; reason is empty when nothing was wrong.",
        ("probe", "outcome", "reason"),
    ),
    MetricInfo(
        "sre_probe_duration_seconds", "histogram",
        "Duration of the runs of a probe that ended ok or degraded.", ("probe",),
    ),
    MetricInfo(
        "sre_probe_step_duration_seconds", "histogram",
        "Duration of the steps of a journey that ended ok or degraded.", ("journey", "step"),
    ),
    MetricInfo(
        "sre_probe_step_attempts_total", "counter",
        "Runs of a step of a journey by outcome; reason is empty when nothing was wrong.",
        ("journey", "step", "outcome", "reason"),
    ),
    MetricInfo(
        "sre_probe_step_phase_seconds", "gauge",
        "Phases of a step in the last run of its journey; one that did not happen is left out.",
        ("journey", "step", "phase"),
    ),
    MetricInfo(
        "sre_probe_phase_seconds", "gauge",
        "Phases of the last run of a single probe; one that did not happen is left out.",
        ("probe", "phase"),
    ),
    MetricInfo(
        "sre_probe_up", "gauge",
        "1 if the last run with a verdict was ok or degraded, 0 if failed (with retry: confirmed).",
        ("probe",),
    ),
    MetricInfo(
        "sre_probe_confirmations_total", "counter",
        "Failures that further attempts confirmed (down) or did not (recovered).",
        ("probe", "result"),
    ),
    MetricInfo(
        "sre_probe_last_run_timestamp_seconds", "gauge",
        "When the last run of a probe ended.", ("probe",),
    ),
    MetricInfo(
        "sre_probe_schedule_lag_seconds", "gauge",
        "How late the last run of a probe started.", ("probe",),
    ),
    MetricInfo(
        "sre_probe_schedule_skipped_total", "counter",
        "Runs that did not take place: the one before still ran (overrun), too late, no budget.",
        ("probe", "reason"),
    ),
    MetricInfo(
        "sre_probe_series_dropped_total", "counter",
        "Samples of a probe beyond the limits of one run or of all probes.", ("probe",),
    ),
    MetricInfo(
        "sre_probe_maintenance", "gauge",
        "Whether a maintenance window is open for a probe.", ("probe",),
    ),
    MetricInfo(
        "sre_probe_maintenance_info", "gauge",
        "Which maintenance windows are open for a probe; always 1.", ("probe", "window"),
    ),
    MetricInfo(
        "sre_probe_gate_up", "gauge",
        "Whether an address of the gate answered when it was last asked; 0: our own network fails.",
    ),
    MetricInfo(
        "sre_probe_location_info", "gauge", "Where this instance stands; always 1.", ("location",)
    ),
)  # fmt: skip

_PROCESS = (
    MetricInfo(
        "sre_build_info", "gauge", "Which build this is; always 1.", ("version", "python")
    ),
    MetricInfo(
        "sre_config_last_reload_successful", "gauge",
        "Whether the last reading of sre.yaml succeeded.",
    ),
    MetricInfo(
        "sre_config_last_reload_success_timestamp_seconds", "gauge",
        "When sre.yaml was last read successfully.",
    ),
    MetricInfo(
        "sre_web_config_last_reload_successful", "gauge",
        "Whether the last reading of the web configuration succeeded.",
    ),
)  # fmt: skip

_FEEDS = (
    MetricInfo(
        "sre_feed_results_total", "counter", "Runs that a feed handed to another monitor.",
        ("feed",),
    ),
    MetricInfo("sre_feed_failures_total", "counter", "Sendings that failed.", ("feed",)),
    MetricInfo(
        "sre_feed_dropped_results_total", "counter",
        "Runs that were never handed over: refused, or too many waited.", ("feed",),
    ),
    MetricInfo(
        "sre_feed_last_success_timestamp_seconds", "gauge",
        "When a feed last handed something over.", ("feed",),
    ),
)  # fmt: skip

_BACKUP = (
    MetricInfo(
        "sre_backup_last_attempt_timestamp_seconds", "gauge",
        "When the last backup run ended, good or bad.", ("db",),
    ),
    MetricInfo(
        "sre_backup_last_exit_code", "gauge", "How the last backup run ended; 0 is good.", ("db",)
    ),
    MetricInfo(
        "sre_backup_last_success_timestamp_seconds", "gauge",
        "When the last backup was committed.", ("db",),
    ),
    MetricInfo(
        "sre_backup_recoverability_last_timestamp_seconds", "gauge",
        "The moment to which the newest backup restores.", ("db",),
    ),
    MetricInfo(
        "sre_backup_duration_seconds", "gauge", "How long the last committed backup took.", ("db",)
    ),
    MetricInfo(
        "sre_backup_source_bytes", "gauge", "Bytes that the last committed backup read.", ("db",)
    ),
    MetricInfo(
        "sre_backup_stored_bytes", "gauge", "Bytes that the last committed backup stored.",
        ("db",),
    ),
    MetricInfo(
        "sre_backup_rpo_target_seconds", "gauge", "How much may be lost, by the tier.", ("db",)
    ),
    MetricInfo(
        "sre_backup_rto_target_seconds", "gauge", "How long a restore may take, by the tier.",
        ("db",),
    ),
    MetricInfo(
        "sre_backup_verified_last_success_timestamp_seconds", "gauge",
        "When a verification of this level last passed.", ("db", "level"),
    ),
    MetricInfo(
        "sre_backup_verified_last_result", "gauge",
        "Whether the last verification passed; its level is a label.", ("db", "level"),
    ),
    MetricInfo(
        "sre_backup_invariant_failed", "gauge",
        "Whether an invariant failed in the last verification that checked it.",
        ("db", "invariant"),
    ),
    MetricInfo(
        "sre_backup_rto_measured_seconds", "gauge",
        "From the start of the last real restore until the invariants held.", ("db",),
    ),
    MetricInfo(
        "sre_backup_restore_phase_seconds", "gauge",
        "Phases of the last real restore that passed.", ("db", "phase"),
    ),
    MetricInfo(
        "sre_backup_restorable_verified_count", "gauge",
        "Verified backups whose whole chain is there, after the last retention.", ("db",),
    ),
    MetricInfo(
        "sre_backup_retained_locked_bytes", "gauge",
        "Bytes of backups that retention would delete and an object lock keeps.", ("db",),
    ),
    MetricInfo(
        "sre_backup_key_recipients", "gauge",
        "How many recipients open every backup there; 1 means that a single loss closes them all.",
        ("db",),
    ),
    MetricInfo(
        "sre_backup_orphan_bytes", "gauge",
        "Bytes in the store that belong to no backup, after the last retention.", ("db",),
    ),
    MetricInfo(
        "sre_backup_log_lag_seconds", "gauge",
        "How long the oldest whole segment has waited on the archiving host for the store.",
        ("db",),
    ),
    MetricInfo(
        "sre_backup_log_lag_bytes", "gauge",
        "Log that the server has written and the store does not have.", ("db",),
    ),
    MetricInfo(
        "sre_backup_log_gap_segments", "gauge",
        "Segments of the log that are missing since the newest full backup.", ("db",),
    ),
    MetricInfo(
        "sre_backup_log_stopped", "gauge",
        "1 while no archiver of this host follows the log, or another server writes it.", ("db",),
    ),
    MetricInfo(
        "sre_backup_rpo_current_seconds", "gauge",
        "How old the newest moment was that the stored log covers.", ("db",),
    ),
    MetricInfo(
        "sre_backup_log_told_timestamp_seconds", "gauge",
        "When the archiver last said how it stands.", ("db",),
    ),
    MetricInfo(
        "sre_backup_log_recoverability_first_timestamp_seconds", "gauge",
        "The earliest moment to which a backup and the log restore.", ("db",),
    ),
    MetricInfo(
        "sre_backup_log_recoverability_last_timestamp_seconds", "gauge",
        "The latest moment to which a backup and the log restore.", ("db",),
    ),
    MetricInfo(
        "sre_backup_replica_lag_seconds", "gauge",
        "How old the oldest thing is that a second store does not have yet.", ("db", "store"),
    ),
    MetricInfo(
        "sre_backup_replica_missing_objects", "gauge",
        "Objects that a second store did not have after the last pass.", ("db", "store"),
    ),
    MetricInfo(
        "sre_backup_replica_last_success_timestamp_seconds", "gauge",
        "When a pass over a second store last ended with nothing wrong.", ("db", "store"),
    ),
)  # fmt: skip

_OF_LOADTESTS: tuple[tuple[str, _Type, str, tuple[str, ...]], ...] = (
    ("arrivals_total", "counter", "Customers who were due, the warm-up left out.",
     ("journey",)),
    ("journeys_total", "counter", "Journeys that ended or were dropped, by outcome.",
     ("journey", "outcome")),
    ("ambiguous_journeys_total", "counter",
     "Journeys whose order may have been placed without an answer telling so.", ("journey",)),
    ("journey_response_seconds", "histogram",
     "What customers waited, from the moment they were due; good answers and failures apart.",
     ("journey", "outcome")),
    ("journey_service_seconds", "histogram", "What the shop took for whole journeys.",
     ("journey", "outcome")),
    ("steps_total", "counter", "Steps of journeys by outcome.", ("journey", "step", "outcome")),
    ("step_reasons_total", "counter", "Why steps did not end well.",
     ("journey", "step", "reason")),
    ("step_response_seconds", "histogram", "What customers waited for a step.",
     ("journey", "step", "outcome")),
    ("step_service_seconds", "histogram", "What the shop took for a step.",
     ("journey", "step", "outcome")),
    ("lateness_seconds", "histogram", "How late the generator itself sent customers off.", ()),
    ("in_flight", "gauge", "Journeys under way.", ()),
    ("planned_arrivals_per_second", "gauge", "The rate that is declared for this moment.", ()),
    ("running", "gauge", "1 while the run goes.", ()),
    ("valid", "gauge", "0 where something speaks against the measurement.", ("cause",)),
    ("threshold_value", "gauge", "What was observed: seconds, a share of 1, or a count.",
     ("threshold",)),
    ("threshold_limit", "gauge", "The limit of a threshold, in the unit of its value.",
     ("threshold",)),
    ("threshold_ok", "gauge", "1 if a threshold is kept, 0 if broken; absent if unknown.",
     ("threshold",)),
    ("verdict", "gauge", "1 for the verdict of the run that is over.", ("verdict",)),
    ("last_run_timestamp_seconds", "gauge", "When the run ended.", ()),
    ("capacity_arrivals_per_second", "gauge",
     "The highest rate of the test's mix that held its thresholds, confirmed.", ("journey",)),
)  # fmt: skip
_LOADTEST = tuple(
    MetricInfo(f"sre_loadtest_{name}", kind, text, ("test", *labels))
    for name, kind, text, labels in _OF_LOADTESTS
)

CATALOGUE: dict[str, MetricInfo] = {
    metric.name: metric for metric in (*_PROBES, *_PROCESS, *_FEEDS, *_BACKUP, *_LOADTEST)
}
"""By name, every metric but those that a kind of probe declares beside its code."""


def describe(name: str, catalogue: Mapping[str, MetricInfo] = CATALOGUE) -> MetricInfo:
    """The metric that a series belongs to (`…_bucket`, `…_sum`, `…_count` to their histogram).

    Raises:
        UsageError: nothing exports such a series.
    """
    if name in catalogue:
        return catalogue[name]
    for suffix in ("_bucket", "_sum", "_count"):
        metric = catalogue.get(name.removesuffix(suffix))
        if name.endswith(suffix) and metric is not None and metric.type == "histogram":
            return metric
    raise UsageError(f"no metric is named {name!r}; docs/metrics.md lists those there are")


def series_of(metric: MetricInfo) -> tuple[str, ...]:
    """The names that a scrape of `metric` shows."""
    if metric.type == "histogram":
        return tuple(f"{metric.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
    return (metric.name,)
