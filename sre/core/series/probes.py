"""Which metrics do probes, their process and its feeds export?"""

from __future__ import annotations

from sre.core.series.model import MetricInfo

__all__ = ["FEEDS", "PROBES", "PROCESS"]

PROBES = (
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

PROCESS = (
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

FEEDS = (
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
