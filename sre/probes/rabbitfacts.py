"""Which numbers does RabbitMQ's management API give, and under which of its keys?"""

from __future__ import annotations

from sre.probes.facts import Facts

__all__ = [
    "FACTS",
    "NODE",
    "NODE_COLUMNS",
    "NODE_SHARES",
    "OBJECTS",
    "QUEUE",
    "QUEUE_COLUMNS",
    "QUEUE_STATS",
    "STATS",
    "TOTALS",
]

OBJECTS = {
    "connections": "Connections of clients.",
    "channels": "Channels inside them.",
    "consumers": "Consumers of all queues.",
    "queues": "Queues there are.",
    "exchanges": "Exchanges there are.",
}
TOTALS = {
    "messages_ready": ("messages_ready", "Messages that wait, of all queues."),
    "messages_unacked": ("messages_unacknowledged", "Messages given out, not acknowledged yet."),
}
STATS = {
    "published_total": ("publish", "Messages that were published."),
    "confirmed_total": ("confirm", "Published messages that were confirmed."),
    "delivered_total": ("deliver_get", "Messages that were given to consumers."),
    "acked_total": ("ack", "Messages that consumers acknowledged."),
    "redelivered_total": ("redeliver", "Messages that had to be given out again."),
    "returned_total": ("return_unroutable", "Messages sent back because no queue took them."),
    "dropped_total": ("drop_unroutable", "Messages lost because no queue took them."),
}
NODE = {
    "node_memory_used_bytes": ("mem_used", "Memory that a node takes."),
    "node_memory_limit_bytes": ("mem_limit", "Memory at which a node stops its publishers."),
    "node_memory_alarm": ("mem_alarm", "Whether a node stops its publishers for memory."),
    "node_disk_free_bytes": ("disk_free", "Disk space that a node has left."),
    "node_disk_limit_bytes": ("disk_free_limit", "Disk space at which a node stops publishers."),
    "node_disk_alarm": ("disk_free_alarm", "Whether a node stops its publishers for disk space."),
}
NODE_SHARES = {
    "node_files_used_ratio": ("fd", "Share of a node's file descriptors in use."),
    "node_sockets_used_ratio": ("sockets", "Share of a node's sockets in use."),
    "node_processes_used_ratio": ("proc", "Share of a node's Erlang processes in use."),
}
QUEUE = {
    "queue_ready": ("messages_ready", "Messages of a queue that wait."),
    "queue_unacked": (
        "messages_unacknowledged",
        "Messages of a queue given out, not acknowledged.",
    ),
    "queue_consumers": ("consumers", "Consumers of a queue."),
}
QUEUE_STATS = {
    "queue_published_total": ("publish", "Messages that were published to a queue."),
    "queue_delivered_total": ("deliver_get", "Messages of a queue given to consumers."),
}
_QUEUE_REST = {
    "queue_up": "Whether a queue is in working order.",
    "queue_consumer_capacity_ratio": "Share of time its consumers could take more.",
    "queue_oldest_age_seconds": "Age of the first message that waits, by its own timestamp.",
}
NODE_COLUMNS = (
    "name", "running", "partitions", "uptime", "fd_used", "fd_total", "sockets_used",
    "sockets_total", "proc_used", "proc_total", *(key for key, _ in NODE.values()),
)  # fmt: skip
QUEUE_COLUMNS = (
    "name", "vhost", "state", "exclusive", "auto_delete", "head_message_timestamp",
    "consumer_capacity", "consumer_utilisation", *(key for key, _ in QUEUE.values()),
    *(f"message_stats.{key}" for key, _ in QUEUE_STATS.values()),
)  # fmt: skip
FACTS = Facts(
    "rabbitmq",
    ("version_info", "Version of the server; always 1.", "version"),
    *OBJECTS.items(),
    *((name, text) for name, (_, text) in (TOTALS | STATS).items()),
    ("nodes_running", "Nodes of the cluster that run."),
    ("nodes", "Nodes of the cluster."),
    ("partitions", "Nodes that some other node lost sight of."),
    ("node_up", "Whether a node runs.", "node"),
    ("node_uptime_seconds", "Time since a node was started.", "node"),
    *((name, text, "node") for name, (_, text) in (NODE | NODE_SHARES).items()),
    *((name, text, "vhost", "queue") for name, (_, text) in (QUEUE | QUEUE_STATS).items()),
    *((name, text, "vhost", "queue") for name, text in _QUEUE_REST.items()),
    ("dead_letters", "Messages in the queues that are declared as dead-letter queues."),
    ("other_queues", "Queues without numbers of their own."),
    ("other_ready", "Messages that wait in queues without numbers of their own."),
    ("other_unacked", "Messages given out by queues without numbers of their own."),
)  # fmt: skip
"""What RabbitMQ's management API tells."""
