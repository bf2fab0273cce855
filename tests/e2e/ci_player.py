"""How does a CI service play a job, as far as the templates of deploy/ci need it?

GitHub: each `run` is a script of its own for `bash --noprofile --norc -eo pipefail` (where the
shell is named; else `bash -e`), `env`, GITHUB_ENV, GITHUB_PATH, GITHUB_OUTPUT and
GITHUB_STEP_SUMMARY are files and variables as there, a step without `if` runs while nothing has
failed. A `uses` that is not known here is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.servers.child import clean_environment

__all__ = ["GitHub", "Played", "workflow"]

_HOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|&&|\|\||==|!=|!|\(|\)|,|[A-Za-z_][\w.-]*|-?\d+)")
_SHELLS = {
    None: ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
}


def workflow(path: Path) -> dict[str, Any]:
    """The file as the service reads it; `on` is a word, not a boolean."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if True in found:
        found["on"] = found.pop(True)
    return found


@dataclass
class Played:
    """What a job did.

    Attributes:
        steps: name -> exit code; None for those that were skipped.
        summary: what stands on the page of the job.
        artifacts: name -> folder.
    """

    passed: bool = True
    steps: dict[str, int | None] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    artifacts: dict[str, Path] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class GitHub:
    """A repository with its caches; `play` runs one job of the workflow in a fresh workspace."""

    template: dict[str, Any]
    checkout: Path
    home: Path
    variables: Mapping[str, str]
    event: str = "push"
    ref: str = "refs/heads/main"
    inputs: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0

    def play(self, name: str) -> Played | None:
        """Run a job; None when its own `if` says no."""
        self.runs += 1
        job, done = self.template["jobs"][name], Played()
        place = self.home / f"run-{self.runs}"
        (place / "work").mkdir(parents=True)
        run = _Run(self, place, done, job)
        for key, text in {**self.template.get("env", {}), **job.get("env", {})}.items():
            run.env[key] = str(run.filled(text))
        run.env |= dict(self.extra)
        if not run.wanted(job.get("if")):
            return None
        for number, step in enumerate(job["steps"]):
            run.step(step, number)
        done.summary = run.summary.read_text(encoding="utf-8")
        return done


class _Run:
    """One job under way."""

    def __init__(self, hub: GitHub, place: Path, done: Played, job: Mapping[str, Any]) -> None:
        self.hub, self.place, self.done = hub, place, done
        self.work = place / "work"
        self.shell = {**hub.template.get("defaults", {}), **job.get("defaults", {})}
        self.path = ""
        self.env: dict[str, str] = {}
        self.summary = place / "summary.md"
        self.summary.write_text("")
        self.after: list[Callable[[], None]] = []

    def step(self, step: Mapping[str, Any], number: int) -> None:
        known = {"name", "id", "if", "uses", "with", "run", "env", "working-directory", "shell"}
        assert not step.keys() - known, f"not played here: {step.keys() - known}"
        label = step.get("name") or step.get("uses") or f"step {number}"
        if not self.wanted(step.get("if")):
            self.done.steps[label] = None
            return
        env = {key: str(self.filled(text)) for key, text in step.get("env", {}).items()}
        if "uses" in step:
            given = {key: self.filled(text) for key, text in step.get("with", {}).items()}
            _USES[step["uses"]](self, given)
            code = 0
        else:
            code = self._script(step, env, number)
        self.done.steps[label] = code
        self.done.passed = self.done.passed and code == 0

    def _script(self, step: Mapping[str, Any], env: Mapping[str, str], number: int) -> int:
        files = {
            key: self.place / f"{key}-{number}"
            for key in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")
        }
        for file in files.values():
            file.write_text("")
        script = self.place / f"step-{number}.sh"
        script.write_text(str(self.filled(step["run"])))
        shell = step.get("shell") or self.shell.get("run", {}).get("shell")
        folder = self.work / str(self.filled(step.get("working-directory", ".")))
        shared = self.place / "step-summary"
        shared.write_text("")
        done = subprocess.run(
            [*_SHELLS[shell], str(script)],
            cwd=folder,
            env=self._environment()
            | {key: str(file) for key, file in files.items()}
            | {"GITHUB_STEP_SUMMARY": str(shared)}
            | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=110,
        )
        self.done.log += f"$ {step.get('name')}\n{done.stdout}\n"
        with self.summary.open("a") as page:
            page.write(shared.read_text())
        self.env |= _pairs(files["GITHUB_ENV"])
        self.path = "".join(f"{one}:" for one in files["GITHUB_PATH"].read_text().split())
        if "id" in step:
            self.done.outputs[step["id"]] = _pairs(files["GITHUB_OUTPUT"])
        return done.returncode

    def _environment(self) -> dict[str, str]:
        base = {k: v for k, v in clean_environment(self.place).items() if "GITHUB" not in k}
        base["PATH"] = f"{self.path}{self.env.get('PATH', base['PATH'])}"
        found = {k: v for k, v in self.env.items() if k != "PATH"}
        return base | found | {
            "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octocat",
            "GITHUB_SHA": "c0ffee" * 6, "GITHUB_REF": self.hub.ref,
            "GITHUB_WORKSPACE": str(self.work),
        }  # fmt: skip

    def wanted(self, condition: object) -> bool:
        """Whether a step or job runs: its `if`, which means `success() && …` unless it asks."""
        if condition is None:
            return self.done.passed
        text = str(condition).strip()
        whole = _HOLE.fullmatch(text)
        text = whole[1] if whole else text
        value = bool(self._value(text))
        asks = re.search(r"\b(?:always|failure|cancelled|success)\s*\(", text)
        return value and (asks is not None or self.done.passed)

    def filled(self, text: object) -> object:
        """A text with its `${{ … }}` filled in."""
        if not isinstance(text, str):
            return text
        return _HOLE.sub(lambda hole: _text(self._value(hole[1])), text)

    def _value(self, expression: str) -> Any:
        """The value of an expression; the grammar that the templates need, all else is an error."""
        words, at = [], 0
        while at < len(expression.rstrip()):
            token = _TOKEN.match(expression, at)
            assert token, f"not played here: {expression!r}"
            words.append(_python(token[1]))
            at = token.end()
        return eval(" ".join(words), {"__builtins__": {}}, {"get": self._get} | self._functions())

    def _functions(self) -> dict[str, Callable[[], bool]]:
        return {
            "always": lambda: True,
            "success": lambda: self.done.passed,
            "failure": lambda: not self.done.passed,
            "cancelled": lambda: False,
        }

    def _get(self, name: str) -> str:
        """A context's value; what does not exist is an empty text, as there."""
        context, _, rest = name.partition(".")
        if context == "steps":
            step, outputs, key = rest.split(".", 2)
            assert outputs == "outputs", name
            return self.done.outputs.get(step, {}).get(key, "")
        hub = self.hub
        github = {"ref": hub.ref, "event_name": hub.event, "run_id": str(1000 + hub.runs),
                  "run_attempt": "1"}  # fmt: skip
        places = {"github": github, "inputs": hub.inputs, "vars": hub.variables, "env": self.env}
        if context == "github":
            return github[rest]
        return places[context].get(rest, "")


def _python(token: str) -> str:
    words = {"&&": "and", "||": "or", "!": "not"}
    if token in words or token in ("(", ")", "==", "!=", "true", "false"):
        return words.get(token, token.capitalize() if token[0] in "tf" else token)
    if token.startswith("'"):
        return repr(token[1:-1].replace("''", "'"))
    if token in ("always", "success", "failure", "cancelled") or token.lstrip("-").isdigit():
        return token
    assert "." in token, f"not played here: {token}"
    return f"get({token!r})"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line)


def _checkout(run: _Run, _given: Mapping[str, Any]) -> None:
    shutil.copytree(run.hub.checkout, run.work, dirs_exist_ok=True)


def _setup_python(run: _Run, given: Mapping[str, Any]) -> None:
    wanted = tuple(map(int, str(given["python-version"]).split(".")))
    assert wanted >= (3, 11), "sre needs Python 3.11"
    run.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def _restore(run: _Run, given: Mapping[str, Any]) -> None:
    caches = run.hub.home / "caches"
    keys = [str(given["key"]), *str(given.get("restore-keys", "")).split()]
    for key in keys:
        found = sorted(caches.glob(f"{key}*"), key=lambda one: one.stat().st_mtime)
        if found:
            shutil.copytree(found[-1], run.work / str(given["path"]), dirs_exist_ok=True)
            return


def _save(run: _Run, given: Mapping[str, Any]) -> None:
    place = run.hub.home / "caches" / str(given["key"])
    assert not place.exists(), "a cache's key can be written once"
    shutil.copytree(run.work / str(given["path"]), place)


def _upload(run: _Run, given: Mapping[str, Any]) -> None:
    place = run.place / "artifacts" / str(given["name"])
    for one in str(given["path"]).split():
        if (run.work / one).exists():
            shutil.copytree(run.work / one, place / one)
    assert place.exists() or given.get("if-no-files-found") in ("ignore", "warn", None)
    run.done.artifacts[str(given["name"])] = place


_USES: dict[str, Callable[[_Run, Mapping[str, Any]], None]] = {
    "actions/checkout@v4": _checkout,
    "actions/setup-python@v5": _setup_python,
    "actions/cache/restore@v4": _restore,
    "actions/cache/save@v4": _save,
    "actions/upload-artifact@v4": _upload,
}
