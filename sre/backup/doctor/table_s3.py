"""Which checks does a bucket get, in which order?"""

from __future__ import annotations

from sre.backup.doctor.model import Check
from sre.backup.doctor.s3_basics import BASICS
from sre.backup.doctor.s3_conditions import CONDITIONS
from sre.backup.doctor.s3_locks import LOCKS
from sre.backup.doctor.s3_parts import PARTS
from sre.backup.doctor.s3_rights import RIGHTS, SPEED
from sre.backup.doctor.s3_sums import SUMS

__all__ = ["S3_CHECKS"]

S3_CHECKS: tuple[Check, ...] = (*SPEED, *BASICS, *CONDITIONS, *SUMS, *PARTS, *RIGHTS, *LOCKS)
"""What is most needed comes first: on a slow line the last ones may find no time."""
