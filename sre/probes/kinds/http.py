"""Does one address answer over HTTP as it should?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sre.core.errors import ConfigError
from sre.core.secrets import Secret
from sre.core.units import Duration, Size
from sre.journey.compile import single_step
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.facts import Facts
from sre.probes.httpauth import Auth, BasicAuth, OAuth2
from sre.probes.httpfacts import FACTS
from sre.probes.httphop import Talk
from sre.probes.httpline import converse
from sre.probes.httpoptions import HttpOptions, Proxy, TlsOptions
from sre.probes.httpscript import Script
from sre.probes.httptalk import talk
from sre.probes.model import ProbeContext, Reading

__all__ = ["HttpProbe"]

_ANY_SHOP = Shop("any", "http://localhost")
_VERSIONS = ("1.0", "1.1", "2", "3")


@dataclass(frozen=True)
class HttpProbe:
    """One request, written and judged as a step of a journey is.

    Attributes:
        url: absolute, or relative to the shop's `base_url`.
        headers, query, form, json, body, expect: as in a step; texts are templates. Credentials
            among the headers go to the shop's own origins alone.
        body_file: a file whose content is the body, read when the configuration is.
        below: seconds; hard, an answer that takes longer has failed.
        follow: redirects, up to 10, each a row of the result.
        body_limit: bytes, as sent and after decompression.
        basic_auth, bearer, oauth2: one of them; sent to the origin of `url`, and on a redirect to
            no other.
        tls: authorities, our own certificate, versions.
        must_be_tls: whether the last answer has to come over TLS (or, false, without).
        ip: the address family: any, 4 or 6; `ip_fallback` takes the other one where there is none.
        http_version: what is offered: any (2 over TLS, else 1.1), 1.0, 1.1, 2, or 3.
        http_versions: those that a good answer may have; any, unless told.
        compress: the encodings that are asked for: any, gzip, br, deflate or none.
        proxy: an HTTP proxy; those of the environment are never used.
        keep_alive: keep the connection for the next run; the runs of a schedule only. A number of
            its own says whether one was used again.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    url: str
    method: Literal["get", "head", "post", "put", "patch", "delete", "options"] = "get"
    headers: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] | None = None
    json: Any = None
    body: str | None = None
    body_file: str | None = None
    expect: dict[str, Any] = field(default_factory=dict)
    below: Duration | None = None
    follow: bool = True
    body_limit: Size = Size(10 * 2**20)
    basic_auth: BasicAuth | None = None
    bearer: Secret | None = None
    oauth2: OAuth2 | None = None
    tls: TlsOptions = field(default_factory=TlsOptions)
    must_be_tls: bool | None = None
    ip: Literal["any", 4, 6] = "any"
    ip_fallback: bool = True
    http_version: float | str = "any"
    http_versions: tuple[float | str, ...] = ()
    compress: Literal["any", "gzip", "br", "deflate", "none"] = "any"
    proxy: Proxy | None = None
    keep_alive: bool = False

    def __post_init__(self) -> None:
        named = [name for name in ("basic_auth", "bearer", "oauth2") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are too many; write one of them")
        if named and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError(f"{named[0]} sets the header Authorization; take it out of headers")
        for version in self.http_versions:
            if _text(version) not in _VERSIONS:
                raise ValueError(f"http_versions: {version} is none of {', '.join(_VERSIONS)}")
        if self.body_file is not None and self.method in ("get", "head"):
            raise ValueError("get and head carry no body; use post, or query")
        if self.body_file is not None and (self.body, self.form, self.json) != (None, None, None):
            raise ValueError("one body only; drop body_file or the other one")
        try:
            single_step("http", self._step(), shop=_ANY_SHOP)
        except ConfigError as error:
            raise ValueError("; ".join(_plain(str(each)) for each in error.problems)) from error
        self._options()

    def check(self, context: ProbeContext) -> Reading:
        """One request with its redirects; new connections each time."""
        began = context.clock.now()
        reading = converse(talk(self._script(context.shop), context), context)
        if reading is None:
            seconds = context.clock.now() - began
            return Reading(Outcome.FAILED, seconds, Reason.PROBER, "cancelled")
        return reading

    def talk(self, context: ProbeContext) -> Talk | None:
        """The same run for the scheduler's loop; None where it may wait for a file or a program."""
        script = self._script(context.shop)
        return talk(script, context) if script.instant else None

    def _script(self, shop: Shop) -> Script:
        """Compiled once for each shop; a reload makes new probes anyway."""
        made: tuple[Shop, Script] | None = self.__dict__.get("_made")
        if made is None or made[0] is not shop:
            step = single_step("http", self._step(), shop=shop).steps[0]
            script = Script(
                step,
                shop,
                self._options(),
                Auth(self.basic_auth, self.bearer, self.oauth2),
                versions=tuple(_text(version) for version in self.http_versions),
                must_be_tls=self.must_be_tls,
                body_file=self.body_file,
            )
            made = self.__dict__["_made"] = (shop, script)
        return made[1]

    def _options(self) -> HttpOptions:
        return HttpOptions(
            ip=self.ip,
            ip_fallback=self.ip_fallback,
            http_version=_text(self.http_version),
            compress=self.compress,
            keep_alive=self.keep_alive,
            tls=self.tls,
            proxy=self.proxy,
        )

    def _step(self) -> dict[str, Any]:
        """The keys of the step that this probe is."""
        below = {} if self.below is None else {"below": f"{self.below:f}s"}
        step: dict[str, Any] = {
            self.method: self.url,
            "headers": self.headers,
            "query": self.query,
            "form": self.form,
            "json": self.json,
            "body": self.body,
            "expect": {**self.expect, **below},
            "body_limit": int(self.body_limit),
        }
        kept = {key: value for key, value in step.items() if value not in (None, {})}
        return {**kept, "follow": self.follow}


def _text(version: float | str) -> str:
    """YAML reads 1.1 as a number, and so may a user write 2 or 2.0."""
    return {"2.0": "2", "3.0": "3", "1": "1.0"}.get(str(version), str(version))


def _plain(problem: str) -> str:
    """A problem without the place that the generated step has not."""
    return problem.partition("steps[0]")[2].lstrip(".") or problem
