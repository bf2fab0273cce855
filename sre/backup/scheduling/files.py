"""How do cron and systemd run a task? (pure)

Secrets come from a file that only the scheduler reads; none stands here.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from sre.backup.scheduling.tasks import Task
from sre.backup.scheduling.times import on_calendar
from sre.core.errors import UsageError

__all__ = ["Host", "crontab", "units"]


@dataclass(frozen=True)
class Host:
    """Where it runs.

    Attributes:
        program: the command that starts us.
        config: sre.yaml.
        env_file: lines NAME='value', mode 0600: what sre.yaml takes from the environment. In
            single quotes it means the same to a shell and to systemd, whatever a DSN holds.
        state: a folder that stays; facts, locks, journal.
        user: of the units.
        writes: further folders that backups write to (stores of kind local).
    """

    program: tuple[str, ...]
    config: str
    env_file: str = "/etc/sre/backup.env"
    state: str = "/var/lib/sre"
    user: str = "sre"
    writes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in (
            *self.program,
            self.config,
            self.env_file,
            self.state,
            self.user,
            *self.writes,
        ):
            if not each or any(ord(c) < 32 for c in each):
                raise UsageError(f"{each!r} cannot stand in a schedule: a line break, or nothing")

    def argv(self, task: Task) -> tuple[str, ...]:
        """The whole command line."""
        return (*self.program, *task.argv, "--config", self.config, "--no-progress")


def crontab(tasks: Sequence[Task], host: Host) -> str:
    """A crontab of the user who takes backups: `crontab FILE`.

    What runs always is started each minute unless it runs; flock sees to that.
    """
    lines = [
        "# Written by sre backup schedule cron. Times are those of cron's time zone.",
        f"# {host.env_file}: lines NAME='value', in quotes, mode 0600, read by each job; no secret",
        "# stands here.",
        "SHELL=/bin/sh",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        'MAILTO=""',
    ]
    for task in tasks:
        lines += ["", f"# {task.says}", f"{task.cron or '* * * * *'} {_cron_command(task, host)}"]
    return "\n".join([*lines, ""])


def _cron_command(task: Task, host: Host) -> str:
    inner = (
        f"set -a; . {shlex.quote(host.env_file)}; SRE_STATE={shlex.quote(host.state)}; set +a; "
        f"exec {shlex.join(host.argv(task))}"
    )
    lock = f"{host.state}/{task.name}.lock"
    limit = f"timeout -k 60 {task.seconds} " if task.cron else ""
    busy = 0 if not task.cron else 6
    command = f"flock -n -E {busy} {shlex.quote(lock)} {limit}/bin/sh -c {shlex.quote(inner)}"
    log = f"{host.state}/{task.name}.log"
    return f"{command} >>{shlex.quote(log)} 2>&1".replace("%", r"\%")


def units(tasks: Sequence[Task], host: Host) -> dict[str, str]:
    """Files for /etc/systemd/system, by name."""
    found = {"sre-backup-failed@.service": _FAILED}
    for task in tasks:
        found[f"{task.name}.service"] = _service(task, host)
        if task.cron:
            found[f"{task.name}.timer"] = _timer(task)
    return found


_FAILED = """\
# Says in the system's log that a job failed; put your pager here.
[Unit]
Description=%i failed

[Service]
Type=oneshot
ExecStart=/usr/bin/logger -p daemon.err "%i failed: journalctl -u %i"
"""


def _service(task: Task, host: Host) -> str:
    always = not task.cron
    kind = (
        ["Type=exec", "Restart=always", "RestartSec=5s", "RestartPreventExitStatus=2 7"]
        if always
        else ["Type=oneshot", f"TimeoutStartSec={task.seconds}", "SuccessExitStatus=6"]
    )
    writes = [f"ReadWritePaths={_quoted(each)}" for each in (host.state, *host.writes)]
    return "\n".join(
        [
            "[Unit]",
            f"Description={task.says.replace('%', '%%')}",
            "Wants=network-online.target",
            "After=network-online.target",
            *(["StartLimitIntervalSec=0"] if always else []),
            "OnFailure=sre-backup-failed@%n.service",
            "",
            "[Service]",
            *kind,
            f"User={host.user}",
            f"EnvironmentFile={host.env_file.replace('%', '%%')}",
            f"Environment={_quoted(f'SRE_STATE={host.state}')}",
            f"ExecStart={_command(host.argv(task))}",
            "TimeoutStopSec=120",
            "KillMode=mixed",
            "Nice=10",
            "IOSchedulingClass=idle",
            "NoNewPrivileges=yes",
            "PrivateTmp=yes",
            "ProtectSystem=strict",
            *writes,
            *(["", "[Install]", "WantedBy=multi-user.target"] if always else []),
            "",
        ]
    )


def _timer(task: Task) -> str:
    return "\n".join(
        [
            "[Unit]",
            f"Description=When: {task.says.replace('%', '%%')}",
            "",
            "[Timer]",
            *(f"OnCalendar={each}" for each in on_calendar(task.cron)),
            "Persistent=true",
            "RandomizedDelaySec=120",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _command(argv: Sequence[str]) -> str:
    """The program's own name is not looked through for $."""
    return " ".join([_quoted(argv[0]), *(_quoted(each, command=True) for each in argv[1:])])


def _quoted(text: str, *, command: bool = False) -> str:
    """For systemd: % and, in commands, $ mean something there."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if command:
        text = text.replace("$", "$$")
    plain = all(c.isalnum() or c in "/._-=:,@+" for c in text.replace("%%", "").replace("$$", ""))
    return text if plain and text else f'"{text}"'
