"""Would a cluster take deploy/kubernetes/loadtest.yaml, and does everything in it agree?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from sre.cli.main import cli
from sre.loadtest.cluster.address import Address
from sre.loadtest.job import Job
from sre.settings import load_settings

MANIFEST = Path(__file__).parents[3] / "deploy" / "kubernetes" / "loadtest.yaml"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))
NAMED = {(each["kind"], each["metadata"]["name"]): each for each in OBJECTS}
MASTER, WORKERS = NAMED["Job", "sre-loadtest"], NAMED["Job", "sre-loadtest-workers"]
JOBS = pytest.mark.parametrize("job", [MASTER, WORKERS], ids=["master", "workers"])


def pod(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(job)["containers"]
    assert isinstance(found, dict)
    return found


def options(job: dict[str, Any]) -> dict[str, Any]:
    """What click makes of its command line; an unknown option or word fails."""
    program, *words = [*container(job)["command"], *container(job)["args"]]
    assert program == "sre"
    command: click.Command = cli
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    return command.make_context(command.name, words).params


@pytest.mark.parametrize("version", ["1.27", "1.31", kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "each", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_the_schemas_of_kubernetes_take_it(each: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(each, version, strict=True)


def test_a_misspelt_key_would_be_found() -> None:
    wrong = yaml.safe_load(MANIFEST.read_text(encoding="utf-8").split("---")[3])
    pod(wrong)["restartPolicies"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


def test_the_declaration_in_it_holds_together(tmp_path: Path) -> None:
    path = tmp_path / "sre.yaml"
    path.write_text(NAMED["ConfigMap", "sre-loadtest"]["data"]["sre.yaml"], encoding="utf-8")
    settings = load_settings(path)
    name = options(MASTER)["name"]
    job = Job(name, settings.loadtests[name], settings.journeys, settings.shop, settings.targets)
    assert job.workers_needed <= options(MASTER)["expect"]


def test_ports_keys_and_numbers_agree() -> None:
    run, worker = options(MASTER), options(WORKERS)
    listen, master = Address.parse(run["listen"]), Address.parse(worker["master"])
    service = NAMED["Service", master.host]
    (port,) = service["spec"]["ports"]
    (own,) = container(MASTER)["ports"]
    assert listen.is_wildcard
    assert listen.port == master.port == port["port"] == own["containerPort"]
    assert port["targetPort"] == own["name"]
    labels = MASTER["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert run["key_file"] == worker["key_file"]
    assert run["config"] == worker["config"]
    assert run["expect"] == WORKERS["spec"]["completions"] * worker["workers"]
    assert WORKERS["spec"]["parallelism"] == WORKERS["spec"]["completions"]


@JOBS
def test_files_that_are_named_are_mounted(job: dict[str, Any]) -> None:
    mounts = {Path(each["mountPath"]): each["name"] for each in container(job)["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(job)["volumes"]}
    found = options(job)
    assert set(mounts.values()) == set(volumes)
    assert volumes[mounts[found["key_file"].parent]]["secret"]["secretName"] == "sre-loadtest-key"
    assert volumes[mounts[found["config"].parent]]["configMap"]["name"] == "sre-loadtest"
    out = found.get("out")
    assert out is None or "persistentVolumeClaim" in volumes[mounts[out.parent]]


@JOBS
def test_pods_may_do_nothing_that_they_need_not(job: dict[str, Any]) -> None:
    spec, own = pod(job), container(job)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert own["securityContext"]["readOnlyRootFilesystem"] is True
    assert own["securityContext"]["allowPrivilegeEscalation"] is False
    assert own["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert own["resources"]["requests"] == own["resources"]["limits"]
    cores = float(own["resources"]["limits"]["cpu"])
    assert cores == cores // 1 >= (options(job)["workers"] or 1)
    assert "Secret" not in {kind for kind, _ in NAMED}


def test_only_workers_reach_the_master_and_nobody_a_worker() -> None:
    master = NAMED["NetworkPolicy", "sre-loadtest-master"]["spec"]
    labels = MASTER["spec"]["template"]["metadata"]["labels"]
    theirs = WORKERS["spec"]["template"]["metadata"]["labels"]
    assert master["podSelector"]["matchLabels"].items() <= labels.items()
    assert not master["podSelector"]["matchLabels"].items() <= theirs.items()
    (rule,) = master["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": theirs}}]
    assert [port["port"] for port in rule["ports"]] == [
        Address.parse(options(MASTER)["listen"]).port
    ]
    workers = NAMED["NetworkPolicy", "sre-loadtest-workers"]["spec"]
    assert workers["podSelector"]["matchLabels"] == theirs
    assert workers["policyTypes"] == ["Ingress"]
    assert "ingress" not in workers
