"""What does a real Nagios make of a plugin's answer? Its own status file says so."""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.child import child, program

__all__ = ["Nagios", "running_nagios"]

_MAIN = """
cfg_file={home}/objects.cfg
log_file={home}/nagios.log
object_cache_file={home}/objects.cache
precached_object_file={home}/objects.precache
status_file={home}/status.dat
status_update_interval=1
command_file={home}/rw/nagios.cmd
query_socket={home}/rw/nagios.qh
lock_file={home}/nagios.lock
temp_file={home}/nagios.tmp
temp_path={home}/tmp
check_result_path={home}/results
state_retention_file={home}/retention.dat
nagios_user={user}
nagios_group={group}
use_syslog=0
check_for_updates=0
bare_update_check=1
interval_length=1
service_inter_check_delay_method=n
max_service_check_spread=1
check_result_reaper_frequency=1
service_check_timeout={limit}
enable_environment_macros=0
illegal_macro_output_chars=`~$&|'"<>
"""

_OBJECTS = """
define timeperiod {
  timeperiod_name always
  alias always
  sunday 00:00-24:00
  monday 00:00-24:00
  tuesday 00:00-24:00
  wednesday 00:00-24:00
  thursday 00:00-24:00
  friday 00:00-24:00
  saturday 00:00-24:00
}
define contact {
  contact_name nobody
  host_notification_period always
  service_notification_period always
  host_notification_commands quiet
  service_notification_commands quiet
  host_notifications_enabled 0
  service_notifications_enabled 0
}
define command {
  command_name quiet
  command_line /bin/true
}
define service {
  name generic-service
  register 0
  max_check_attempts 1
  check_interval 3600
  retry_interval 3600
  check_period always
  contacts nobody
  notification_period always
}
define host {
  host_name shop
  address 127.0.0.1
  max_check_attempts 1
  check_interval 3600
  check_period always
  check_command quiet
  contacts nobody
  notification_period always
}
"""

_SERVICE = """
define command {{
  command_name {name}
  command_line {line}
}}
define service {{
  host_name shop
  service_description {name}
  check_command {name}
  use generic-service
}}
"""


@dataclass(frozen=True)
class Nagios:
    """A running Nagios."""

    home: Path

    def services(self) -> dict[str, dict[str, str]]:
        """What it knows of each service that it has checked: status.dat's own words."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.home / "status.dat").read_text(encoding="utf-8")
            blocks = re.findall(r"(?ms)^servicestatus \{\n(.*?)^\t\}", text)
            found = [dict(re.findall(r"(?m)^\s*(\w+)=(.*)$", block)) for block in blocks]
            return {one["service_description"]: one for one in found
                    if one["has_been_checked"] == "1"}  # fmt: skip
        return {}


@contextlib.contextmanager
def running_nagios(
    home: Path,
    commands: Mapping[str, str],
    *,
    more: str = "",
    limit: int = 60,
    env: Mapping[str, str],
) -> Iterator[Nagios]:
    """Nagios in the foreground with a service for each command line, each run once at once.

    `more`: further objects.
    """
    nagios = program("nagios4", "nagios")
    for folder in ("rw", "tmp", "results"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    words = {"home": home, "user": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
    (home / "nagios.cfg").write_text(_MAIN.format(**words, limit=limit), encoding="utf-8")
    services = (_SERVICE.format(name=name, line=line) for name, line in commands.items())
    (home / "objects.cfg").write_text(_OBJECTS + more + "".join(services), encoding="utf-8")
    with child([nagios, str(home / "nagios.cfg")], home=home, env=env):
        yield Nagios(home)
