"""Which metrics do failovers export?"""

from __future__ import annotations

from sre.core.series.model import MetricInfo

__all__ = ["FAILOVER"]

FAILOVER = (
    MetricInfo(
        "sre_failover_last_timestamp_seconds", "gauge",
        "When the last operation on a cluster ended.", ("cluster", "action", "outcome"),
    ),
    MetricInfo(
        "sre_failover_phase_seconds", "gauge",
        "How long each phase of the last operation took; total among them.", ("cluster", "phase"),
    ),
    MetricInfo(
        "sre_failover_unacknowledged", "gauge",
        "Whether the last failover waits for somebody to look at it.", ("cluster",),
    ),
    MetricInfo(
        "sre_failover_primaries", "gauge",
        "How many nodes say that they are primary; anything but 1 is trouble.", ("cluster",),
    ),
    MetricInfo(
        "sre_failover_node_up", "gauge", "Whether a node answers.", ("cluster", "node"),
    ),
    MetricInfo(
        "sre_failover_standby_lag_seconds", "gauge",
        "How old what a standby shows is.", ("cluster", "node"),
    ),
    MetricInfo(
        "sre_failover_ready", "gauge",
        "Whether a failover would lose nothing: somebody synchronous follows, on the same "
        "timeline.", ("cluster",),
    ),
    MetricInfo(
        "sre_failover_seen_timestamp_seconds", "gauge",
        "When the cluster was last looked at.", ("cluster",),
    ),
)  # fmt: skip
