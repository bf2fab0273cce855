"""Are the nodes of a lost cluster empty, and able to take it back? (effects; reads only)"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import SreError
from sre.failover.clusters.common.together import together
from sre.failover.control.local import LocalControl
from sre.failover.engine import Placed

__all__ = ["is_local", "look_at", "look_at_all"]

# fixed text; the folder comes as $1, the program as $2
_LOOK = """data=$1 place=$1
if [ -L "$data" ]; then echo state=link
elif [ ! -e "$data" ]; then echo state=absent
elif [ ! -d "$data" ]; then echo state=file
elif [ -n "$(ls -A "$data" 2>&1)" ]; then echo state=full
elif [ "$(stat -c %d "$data")" != "$(stat -c %d "$data/..")" ]; then echo state=mount
else echo state=empty; fi
while [ ! -e "$place" ]; do place=${place%/*}; [ -n "$place" ] || place=/; done
above=${data%/*}; while [ ! -e "${above:-/}" ]; do above=${above%/*}; done
[ -w "${above:-/}" ] && echo above=writable || echo "above=$above"
echo "free=$(df -Pk "$place" | tail -n 1 | awk '{print $4}')"
echo "uid=$(id -u)"
echo "version=$("$2" --version 2>&1 | head -n 1)\""""


def is_local(node: Placed) -> bool:
    """Whether the node is this machine."""
    return isinstance(node.control, LocalControl)


def look_at_all(nodes: tuple[Placed, ...], deadline: Deadline) -> dict[str, Mapping[str, Any]]:
    """Every node at once; JSON."""
    found = together({node.name: partial(look_at, node, deadline) for node in nodes})
    return {
        name: {"unreachable": str(each)} if isinstance(each, SreError) else each
        for name, each in found.items()
    }


def look_at(node: Placed, deadline: Deadline) -> Mapping[str, Any]:
    """Its folder (`absent`, `empty`, `full`, `mount`, `link`, `file`), room in bytes, who runs it,
    its version, whether a process is left. Raises as `Control.run`."""
    service, control = node.service, node.control
    data = service.data_dir.rstrip("/")
    argv = ["sh", "-c", _LOOK, "sre", data, service.program("postgres")]
    done = control.run(service, argv, deadline, env={"LC_ALL": "C"})
    words = dict(
        line.partition("=")[::2] for line in done.stdout.decode("utf-8", "replace").splitlines()
    )
    missing = [
        each
        for each in control.check(service, deadline)
        if each != f"there is no folder {service.data_dir.rstrip('/') or '/'}"
        and "sre-fenced" not in each
    ]
    life = control.life(service, deadline)
    free = words.get("free", "")
    return {
        "unreachable": "",
        "state": words.get("state", "unknown"),
        "above": words.get("above", ""),
        "free": int(free) * 1024 if free.isdigit() else None,
        "uid": int(words["uid"]) if words.get("uid", "").isdigit() else None,
        "version": words.get("version", ""),
        "missing": missing,
        "life": life.state,
        "local": is_local(node),
    }
