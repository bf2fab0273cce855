"""With what does a request say who it is, and to whom may it say so?"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sre.core.errors import UsageError
from sre.core.secrets import Secret, redactor
from sre.journey.host import origin_of
from sre.probes.blackbox.clientoptions import OAuth2
from sre.probes.blackbox.httpbody import Body
from sre.probes.blackbox.httpclient import connection
from sre.probes.blackbox.httphop import Hop, handle, perform
from sre.probes.blackbox.model import BlackboxContext
from sre.probes.blackbox.modules import HttpOptions
from sre.probes.blackbox.resolve import admit

__all__ = ["authorization", "extra_headers", "of_file"]

_LARGEST_TOKEN = 2**16


def of_file(path: str) -> str:
    """A secret's file without the white space at its ends. Raises UsageError."""
    return Secret.from_file(Path(path)).reveal().strip()


def authorization(options: HttpOptions, context: BlackboxContext) -> str | None:
    """The value of `Authorization`, None where the module has no credentials.

    Raises:
        UsageError: a secret or its file cannot be read, or no token is to be had.
    """
    if options.basic_auth is not None:
        basic = options.basic_auth
        user = of_file(basic.username_file) if basic.username_file else basic.username
        password = _of(basic.password, basic.password_file)
        value = base64.b64encode(f"{user}:{password}".encode()).decode()
        redactor.add(value)
        return f"Basic {value}"
    if options.authorization is not None:
        one = options.authorization
        return f"{one.type.strip()} {_of(one.credentials, one.credentials_file)}"
    if options.bearer_token or options.bearer_token_file:
        return f"Bearer {_of(options.bearer_token, options.bearer_token_file)}"
    if options.oauth2 is not None:
        return f"Bearer {_token(options.oauth2, context)}"
    return None


def extra_headers(options: HttpOptions) -> list[tuple[str, str]]:
    """What `http_headers` says. Raises UsageError."""
    found: list[tuple[str, str]] = []
    for name, header in options.http_headers.items():
        found += [(name, value) for value in header.values]
        found += [(name, secret.reveal()) for secret in header.secrets]
        found += [(name, of_file(path)) for path in header.files]
    return found


def _of(secret: Secret | None, path: str) -> str:
    return secret.reveal() if secret is not None else of_file(path) if path else ""


def _token(oauth: OAuth2, context: BlackboxContext) -> str:
    """A token by the client credentials grant: the secret in the header, else in the form."""
    secret = _of(oauth.client_secret, oauth.client_secret_file)
    form = {"grant_type": "client_credentials", **oauth.endpoint_params}
    if oauth.scopes:
        form["scope"] = " ".join(oauth.scopes)
    basic = base64.b64encode(urlencode({oauth.client_id: secret}).replace("=", ":", 1).encode())
    status, text = _post(oauth, context, form, [("Authorization", f"Basic {basic.decode()}")])
    if status in (400, 401, 403):
        form |= {"client_id": oauth.client_id, "client_secret": secret}
        status, text = _post(oauth, context, form, [])
    try:
        token = json.loads(text)["access_token"] if status == 200 else None
    except (ValueError, LookupError, TypeError):
        token = None
    if not isinstance(token, str) or not token:
        where = urlsplit(oauth.token_url).hostname
        raise UsageError(f"oauth2: no token from {where}, status {status}")
    redactor.add(token)
    return token


def _post(
    oauth: OAuth2,
    context: BlackboxContext,
    form: dict[str, str],
    headers: Iterable[tuple[str, str]],
) -> tuple[int, bytes]:
    _, host, port = origin_of(oauth.token_url)
    all_headers = [*headers, ("Content-Type", "application/x-www-form-urlencoded")]
    admission = admit(context, host, port)
    body = urlencode(form).encode()
    hop = Hop(oauth.token_url, admission, "POST", all_headers, body, connection(oauth.tls_config))
    taken = Body("", _LARGEST_TOKEN, keep=True)
    with handle() as curl:
        answer = perform(curl, hop, context.deadline.left(), taken, lambda _answer: False)
    if answer.error:
        raise UsageError(f"oauth2: {host}: {answer.error}")
    return answer.status, taken.text
