"""How does Kubernetes run a task? (pure)

A CronJob for what has a time, a Deployment of one for what runs always. sre.yaml and the
environment come from Secrets that exist already; no value stands here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sre.backup.scheduling.tasks import Task

__all__ = ["Cluster", "manifests", "manifests_text"]


@dataclass(frozen=True)
class Cluster:
    """Where it runs.

    Attributes:
        image: with sre, and the server's programs for whatever verifies.
        config_secret: holds the key sre.yaml; env_secret: what that takes from the environment;
            keys_secret: the files that it names below /etc/sre/keys.
        claim: the PersistentVolumeClaim of the state folder.
        scratch: how large a restored copy may become.
    """

    image: str
    namespace: str = "default"
    config_secret: str = "sre-config"  # noqa: S105  the name of a Secret, no secret
    env_secret: str = "sre-backup-env"  # noqa: S105
    keys_secret: str = "sre-backup-keys"  # noqa: S105
    account: str = "sre-backup"
    claim: str = "sre-state"
    scratch: str = "50Gi"


def manifests(tasks: Sequence[Task], cluster: Cluster) -> list[dict[str, Any]]:
    """One object for each task."""
    return [_cron_job(task, cluster) if task.cron else _deployment(task, cluster) for task in tasks]


def manifests_text(tasks: Sequence[Task], cluster: Cluster) -> str:
    """As one `List`, for `kubectl apply -f`; JSON is YAML."""
    content = {"apiVersion": "v1", "kind": "List", "items": manifests(tasks, cluster)}
    return json.dumps(content, indent=2) + "\n"


def _about(task: Task, cluster: Cluster) -> dict[str, Any]:
    return {
        "name": task.name,
        "namespace": cluster.namespace,
        "labels": {"app.kubernetes.io/name": "sre-backup", "app.kubernetes.io/instance": task.name},
    }


def _cron_job(task: Task, cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _about(task, cluster),
        "spec": {
            "schedule": task.cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 5,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 1,
                    "activeDeadlineSeconds": task.seconds,
                    "template": _pod(task, cluster, "Never"),
                }
            },
        },
    }


def _deployment(task: Task, cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _about(task, cluster),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/instance": task.name}},
            "template": _pod(task, cluster, "Always"),
        },
    }


def _pod(task: Task, cluster: Cluster, restart: str) -> dict[str, Any]:
    container = {
        "name": "sre",
        "image": cluster.image,
        "command": ["sre", *task.argv, "--config", "/etc/sre/sre.yaml", "--no-progress"],
        "env": [
            {"name": "SRE_STATE", "value": "/var/lib/sre"},
            {"name": "TMPDIR", "value": "/scratch"},
        ],
        "envFrom": [{"secretRef": {"name": cluster.env_secret}}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/sre/sre.yaml", "subPath": "sre.yaml"},
            {"name": "keys", "mountPath": "/etc/sre/keys", "readOnly": True},
            {"name": "state", "mountPath": "/var/lib/sre"},
            {"name": "scratch", "mountPath": "/scratch"},
        ],
    }
    return {
        "metadata": {"labels": _about(task, cluster)["labels"]},
        "spec": {
            "serviceAccountName": cluster.account,
            "automountServiceAccountToken": False,
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 120,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "fsGroup": 999},
            "containers": [container],
            "volumes": [
                {"name": "config", "secret": {"secretName": cluster.config_secret}},
                {
                    "name": "keys",
                    "secret": {"secretName": cluster.keys_secret, "defaultMode": 0o440},
                },
                {"name": "state", "persistentVolumeClaim": {"claimName": cluster.claim}},
                {"name": "scratch", "emptyDir": {"sizeLimit": cluster.scratch}},
            ],
        },
    }
