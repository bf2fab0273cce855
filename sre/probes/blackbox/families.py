"""What are blackbox_exporter's metrics called, and what does it say about each?

The names and their meaning are its interface; all of them are gauges. `OWN` is ours.
"""

from __future__ import annotations

from sre.core.metrics import MetricInfo

__all__ = ["HELP", "OWN"]

OWN = (
    MetricInfo(
        "sre_probe_target_requests_total",
        "counter",
        "Probes by request (/probe), by module: success, failure, or blocked by the allow-list.",
        ("module", "result"),
    ),
    MetricInfo(
        "sre_probe_target_refused_total",
        "counter",
        "Requests for a probe (/probe) of which none was made: bad_request, unknown_module, busy.",
        ("reason",),
    ),
    MetricInfo(
        "sre_probe_target_blocked_total",
        "counter",
        "Requests for a probe (/probe) whose target the allow-list did not admit.",
    ),
)
"""What the service of /probe tells about itself, on /metrics."""

HELP = {
    "probe_dns_additional_rrs": (
        "Returns number of entries in the additional resource record list"
    ),
    "probe_dns_answer_rrs": "Returns number of entries in the answer resource record list",
    "probe_dns_authority_rrs": "Returns number of entries in the authority resource record list",
    "probe_dns_duration_seconds": "Duration of DNS request by phase",
    "probe_dns_lookup_time_seconds": "Returns the time taken for probe dns lookup in seconds",
    "probe_dns_query_succeeded": ("Displays whether or not the query was executed successfully"),
    "probe_dns_serial": "Returns the serial number of the zone",
    "probe_duration_seconds": "Returns how long the probe took to complete in seconds",
    "probe_expect_info": "Explicit content matched",
    "probe_failed_due_to_bytes": "Indicates if probe failed due to bytes",
    "probe_failed_due_to_cel": "Indicates if probe failed due to CEL",
    "probe_failed_due_to_regex": "Indicates if probe failed due to regex",
    "probe_grpc_duration_seconds": "Duration of gRPC request by phase",
    "probe_grpc_healthcheck_response": "Response HealthCheck response",
    "probe_grpc_ssl": "Indicates if SSL was used for the connection",
    "probe_grpc_status_code": "Response gRPC status code",
    "probe_http_content_length": "Length of http content response",
    "probe_http_duration_seconds": "Duration of http request by phase, summed over all redirects",
    "probe_http_last_modified_timestamp_seconds": (
        "Returns the Last-Modified HTTP response header in unixtime"
    ),
    "probe_http_redirects": "The number of redirects",
    "probe_http_ssl": "Indicates if SSL was used for the final redirect",
    "probe_http_status_code": "Response HTTP status code",
    "probe_http_uncompressed_body_length": "Length of uncompressed response body",
    "probe_http_version": "Returns the version of HTTP of the probe response",
    "probe_icmp_duration_seconds": "Duration of icmp request by phase",
    "probe_icmp_reply_hop_limit": "Replied packet hop limit (TTL for ipv4)",
    "probe_ip_addr_hash": (
        "Specifies the hash of IP address. It's useful to detect if the IP address changes."
    ),
    "probe_ip_protocol": "Specifies whether probe ip protocol is IP4 or IP6",
    "probe_ssl_earliest_cert_expiry": "Returns last SSL chain expiry in unixtime",
    "probe_ssl_last_chain_expiry_timestamp_seconds": ("Returns last SSL chain expiry in timestamp"),
    "probe_ssl_last_chain_info": "Contains SSL leaf certificate information",
    "probe_success": "Displays whether or not the probe was a success",
    "probe_timeout_seconds": "Returns the timeout that the probe had in seconds",
    "probe_tls_cipher_info": "Returns the TLS cipher negotiated during handshake",
    "probe_tls_version_info": "Returns the TLS version used or NaN when unknown",
}
