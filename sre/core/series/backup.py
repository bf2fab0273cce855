"""Which metrics do backups export?"""

from __future__ import annotations

from sre.core.series.model import MetricInfo

__all__ = ["BACKUP"]

BACKUP = (
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
        "sre_backup_restorable_verified", "gauge",
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
