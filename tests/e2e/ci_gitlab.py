"""How does GitLab play a job, as far as the template of deploy/ci needs it?

before_script and script are one script for `bash -eo pipefail`; the cache and `retry` are heeded.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.ci_player import Played
from tests.servers.child import clean_environment

__all__ = ["GitLab"]


@dataclass
class GitLab:
    """A project; `play` runs one job, again as its `retry` says."""

    template: dict[str, Any]
    checkout: Path
    home: Path
    variables: Mapping[str, str]

    def play(self, name: str) -> Played:
        """Run a job of a branch's pipeline."""
        job = self.template[name]
        left = job["retry"]["max"] + 1
        while True:
            left -= 1
            done = self._once(job)
            code = done.steps["script"]
            if code == 0 or not left or code not in job["retry"]["exit_codes"]:
                return done

    def _once(self, job: Mapping[str, Any]) -> Played:
        work = self.home / uuid.uuid4().hex[:8]
        shutil.copytree(self.checkout, work)
        texts = {**self.template.get("variables", {}), **job.get("variables", {})}
        env = {"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_BRANCH": "main",
               "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_SHA": "c0ffee" * 6,
               "GITLAB_USER_LOGIN": "fox"} | texts | dict(self.variables)  # fmt: skip
        key = re.sub(r"\$(\w+)", lambda match: env[match[1]], job["cache"]["key"])
        cache = self.home / "caches" / key
        for path in job["cache"]["paths"]:
            if (cache / path).exists():
                shutil.copytree(cache / path, work / path, dirs_exist_ok=True)
        base = {k: v for k, v in clean_environment(work).items() if "GITHUB" not in k}
        base["PATH"] = f"{Path(sys.executable).parent}:{base['PATH']}"
        script = work / ".script.sh"
        script.write_text("\n".join([*job.get("before_script", []), *job["script"]]) + "\n")
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=work,
            env=base | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=110,
        )
        for path in job["cache"]["paths"]:
            if (work / path).exists():
                shutil.copytree(work / path, cache / path, dirs_exist_ok=True)
        done = Played(ran.returncode == 0, {"script": ran.returncode}, ran.stdout)
        done.artifacts = {path: work / path for path in job["artifacts"]["paths"]}
        return done
