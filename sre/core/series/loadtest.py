"""Which metrics do load tests export?"""

from __future__ import annotations

from sre.core.series.model import MetricInfo, MetricType

__all__ = ["LOADTEST"]

_ROWS: tuple[tuple[str, MetricType, str, tuple[str, ...]], ...] = (
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
LOADTEST = tuple(
    MetricInfo(f"sre_loadtest_{name}", kind, text, ("test", *labels))
    for name, kind, text, labels in _ROWS
)
