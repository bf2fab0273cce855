"""Do modules of blackbox_exporter load as they are, and leave their secrets behind on import?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sre.core.errors import ConfigError, SreError
from sre.core.secrets import redactor
from sre.probes.blackbox.declare import load_blackbox
from sre.probes.blackbox.defaults import DEFAULT_MODULES
from sre.probes.blackbox.importing import imported
from sre.probes.blackbox.modules import Module
from sre.probes.blackbox.regexp import compiled, fault
from sre.probes.blackbox.registry import PROBERS, prober_for
from sre.probes.blackbox.show import as_yaml, modules_yaml
from sre.settings import load_settings
from tests.servers.net import missing

HERE = Path(__file__).parent
EVERY_KEY = HERE / "blackbox-every-key.yml"
DEBIAN = (
    Path("/etc/prometheus/blackbox.yml"),
    Path("/usr/share/doc/prometheus-blackbox-exporter/examples/example.yml"),
)
HEAD = 'version: 1\nshop: {name: s, base_url: "https://shop.test", environment: staging}\n'


def settings_of(tmp_path: Path, section: str) -> dict[str, Module]:
    path = tmp_path / "sre.yaml"
    path.write_text(HEAD + section, encoding="utf-8")
    return dict(load_settings(path).modules)


def problems_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "blackbox.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_blackbox(path)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


@pytest.mark.parametrize("path", DEBIAN, ids=lambda path: path.stem)
def test_what_debian_ships_loads(path: Path) -> None:
    if not path.exists():
        missing("prometheus-blackbox-exporter")
    modules = load_blackbox(path)
    assert len(modules) >= 10
    assert all(module.prober in PROBERS for module in modules.values())


def test_every_key_of_a_newer_version_loads_too() -> None:
    modules = load_blackbox(EVERY_KEY)
    http = modules["http_every_key"].http
    assert http.body_size_limit == 10 * 1024 * 1024
    assert http.headers["X-Number"] == "5"
    assert http.fail_if_ssl
    assert not http.follows
    assert modules["ssh"].tcp.query_response[0].labels[0].value == "${1}"
    assert modules["bearer"].http.bearer_token is not None
    assert modules["bearer"].http.bearer_token.reveal() == "tok-very-literal"


def test_anchors_and_merge_keys_are_read_as_blackbox_exporter_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "blackbox.yml"
    path.write_text(
        "modules:\n"
        "  base: &base\n"
        "    prober: http\n"
        "    timeout: 1m30s\n"
        "    http: &http {method: GET, preferred_ip_protocol: ip4, valid_status_codes: [200]}\n"
        "  other:\n"
        "    <<: *base\n"
        "    timeout: 1.5s\n"
        "    http:\n"
        "      <<: [{method: HEAD}, *http]\n"
        "      valid_status_codes: [204]\n",
        encoding="utf-8",
    )
    other = load_blackbox(path)["other"]
    assert (other.prober, other.timeout) == ("http", 1.5)
    assert (other.http.method, other.http.preferred_ip_protocol) == ("HEAD", "ip4")
    assert other.http.valid_status_codes == (204,)
    assert "<<" not in imported(path).text
    assert problems_of(tmp_path, "modules:\n  a: {<<: 5, prober: http}\n") == [
        "2:7 modules.a: << merges a mapping, or a list of them"
    ]


def test_what_is_there_without_a_declaration_is_what_debian_ships() -> None:
    if not DEBIAN[0].exists():
        missing("prometheus-blackbox-exporter")
    shipped = load_blackbox(DEBIAN[0])
    assert shipped.keys() < DEFAULT_MODULES.keys()
    for name in shipped.keys() - {"http_2xx"}:  # upstream's asks for IPv4 by now
        assert DEFAULT_MODULES[name] == shipped[name], name


def test_each_problem_is_told_at_its_line(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        "modules:\n"
        "  a:\n"
        "    prober: htp\n"
        "    http:\n"
        '      fail_if_body_matches_regexp: ["fine", "("]\n'
        "      fail_if_header_matches:\n"
        '        - {header: A, regexp: "x{2,1}"}\n'
        "      folow_redirects: true\n"
        "  b: {prober: dns}\n"
        "  c: {prober: http, http: {body: a, body_file: b}}\n"
        "  d: {prober: icmp, icmp: {ttl: 256}}\n"
        '  e: {prober: http, http: {compression: gzip, headers: {Accept-Encoding: "br"}}}\n'
        "  f: {}\n",
    )
    starts = [line.partition(" ")[0] for line in found]
    assert starts == ["3:13", "5:45", "7:31", "8:7", "9:6", "10:27", "11:33", "12:27", "13:6"]
    assert "did you mean 'http'?" in found[0]
    assert "missing )" in found[1]
    assert "follow_redirects" in found[3]


def test_an_expression_is_re2s_and_takes_linear_time() -> None:
    assert fault("(?P<name>a)[[:alpha:]]$") == ""
    assert "RE2" in fault(r"(a)\1")
    assert "RE2" in fault("(?=a)")
    assert compiled("(a*)*b").search(b"a" * 50_000) is None


def test_a_bytes_text_that_is_no_utf8_can_be_searched() -> None:
    assert compiled("hell.").search(b"\xff\xfehello") is not None
    assert compiled("ü").search("grün".encode()) is not None


def test_secrets_of_a_file_are_masked_wherever_they_show() -> None:
    text = modules_yaml(load_blackbox(EVERY_KEY))
    for secret in SECRETS:
        assert secret not in text
        assert secret not in redactor.mask(f"a log line with {secret} in it"), secret
    assert "client_id: shop" in text


SECRETS = (
    "hunter-literal", "tok-very-literal", "cred-very-literal", "oauth-very-literal",
    "proxy-very-literal", "header-very-literal", "vault-very-literal",
)  # fmt: skip


def test_an_import_names_variables_and_prints_no_secret(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sre", "probe", "import-blackbox", str(EVERY_KEY)],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr
    assert 'password: "${env:BLACKBOX_HTTP_EVERY_KEY_BASIC_AUTH_PASSWORD}"' in done.stdout
    assert "BLACKBOX_HTTP_EVERY_KEY_BASIC_AUTH_PASSWORD" in done.stderr
    assert f"{EVERY_KEY}:" in done.stderr
    assert "prober 'websocket' is not supported" in done.stderr


def test_what_was_imported_means_the_same_in_sre_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = imported(EVERY_KEY)
    for variable in found.variables:
        monkeypatch.setenv(variable, f"value of {variable}")
    mine = settings_of(tmp_path, found.text)
    theirs = load_blackbox(EVERY_KEY)
    assert mine.keys() == theirs.keys()
    auth = mine["http_every_key"].http.basic_auth
    assert auth is not None
    assert auth.password is not None
    assert auth.password.reveal() == ("value of BLACKBOX_HTTP_EVERY_KEY_BASIC_AUTH_PASSWORD")
    assert mine["ssh"] == theirs["ssh"]
    assert mine["http_every_key"].http.body == theirs["http_every_key"].http.body == "a ${b} c"


def test_a_bad_file_is_exit_2(tmp_path: Path) -> None:
    bad = tmp_path / "blackbox.yml"
    bad.write_text("modules: {a: {prober: nope}}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "sre", "probe", "import-blackbox", str(bad)],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{bad}:1:23 modules.a.prober: unknown prober 'nope'" in done.stderr


def test_a_module_in_sre_yaml_takes_references_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "from-the-environment")
    section = (
        "modules:\n"
        "  login: {prober: http, http: {basic_auth: {username: u, password: WHAT}}}\n"
        '  talk: {prober: tcp, tcp: {query_response: [{send: "PASS ${env:SHOP_PASSWORD} ${1}"}]}}\n'
    )
    with pytest.raises(ConfigError, match="a secret may not stand in the file"):
        settings_of(tmp_path, section.replace("WHAT", "literal"))
    found = settings_of(tmp_path, section.replace("WHAT", '"${env:SHOP_PASSWORD}"'))
    assert found["talk"].tcp.query_response[0].send == "PASS from-the-environment ${1}"
    assert "from-the-environment" not in modules_yaml(found)


def test_a_variable_that_is_not_set_is_told(tmp_path: Path) -> None:
    section = 'modules: {t: {prober: tcp, tcp: {query_response: [{send: "${env:SRE_NOT_SET}"}]}}}\n'
    with pytest.raises(ConfigError, match="environment variable SRE_NOT_SET is not set"):
        settings_of(tmp_path, section)


def test_an_included_blackbox_yml_is_the_section(tmp_path: Path) -> None:
    (tmp_path / "blackbox.yml").write_text(
        "modules:\n  home: {prober: http, timeout: 5s}\n", encoding="utf-8"
    )
    found = settings_of(tmp_path, "include: [blackbox.yml]\n")
    assert found["home"].timeout == 5.0


@pytest.mark.parametrize("name", ["http", "grpc"])
def test_a_prober_loads(name: str) -> None:
    assert callable(prober_for(name).probe)


def test_a_prober_that_we_have_not_says_so() -> None:
    with pytest.raises(SreError, match="'websocket' is not supported"):
        prober_for("websocket")


def test_text_that_could_be_misread_is_quoted() -> None:
    data = {"a": "yes", "b": ["1", 1, True, None, "x: y"], "c": {}, "d": [{"e": [1]}], "f": "ü"}
    assert as_yaml(data) == (
        'a: "yes"\nb:\n  - "1"\n  - 1\n  - true\n  - null\n  - "x: y"\nc: {}\n'
        'd:\n  - e:\n      - 1\nf: "ü"\n'
    )
