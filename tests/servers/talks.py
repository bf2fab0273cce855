"""What do servers of line protocols say before and after STARTTLS, and how do broken ones behave?

`talking` serves one script to every connection. A script is a list of steps: `say` a text, `hear` a
line, `tls`, or a way to misbehave (`drip`, `flood`, `hang`, `close`, `reset`).
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.servers.net import reset_on_close
from tests.servers.tls import TlsServers

__all__ = ["STARTTLS", "Step", "Talker", "server_context", "talking"]

Step = tuple[str, str]

STARTTLS: dict[str, list[Step]] = {
    "smtp": [
        ("say", "220-mail.shop.test ESMTP\r\n220 welcome\r\n"),
        ("hear", "^EHLO [^ ]+$"),
        ("say", "250-mail.shop.test\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 HELP\r\n"),
        ("hear", "^STARTTLS$"),
        ("say", "220 ready\r\n"),
        ("tls", ""),
    ],
    "imap": [
        ("say", "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
        ("hear", "^a1 STARTTLS$"),
        ("say", "a1 OK begin\r\n"),
        ("tls", ""),
    ],
    "pop3": [
        ("say", "+OK ready\r\n"),
        ("hear", "^STLS$"),
        ("say", "+OK begin\r\n"),
        ("tls", ""),
    ],
    "ftp": [
        ("say", "220-hello\r\n220 ready\r\n"),
        ("hear", "^AUTH TLS$"),
        ("say", "234 begin\r\n"),
        ("tls", ""),
    ],
}
"""What a good server of each protocol does."""


@dataclass
class Talker:
    """A running script.

    Attributes:
        heard: the lines that came, of all connections.
        wrong: lines that were not as the script wants them.
    """

    port: int
    heard: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)


def server_context(tls: TlsServers, label: str = "good") -> ssl.SSLContext:
    """A TLS server's context with a certificate of `tls`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert_file(label), tls.key_file(label))
    return context


@contextlib.contextmanager
def talking(script: Sequence[Step], context: ssl.SSLContext | None = None) -> Iterator[Talker]:
    """Serve the script on a free port of 127.0.0.1, each connection in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        talker = Talker(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                arguments = (talker, connection, script, context)
                threading.Thread(target=_play, args=arguments, daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield talker
        finally:
            talker.stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(2)


def _play(
    talker: Talker,
    connection: socket.socket,
    script: Sequence[Step],
    context: ssl.SSLContext | None,
) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        stack.callback(lambda: connection.close())
        for what, text in script:
            if what == "tls":
                assert context is not None
                connection = context.wrap_socket(connection, server_side=True)
            elif what == "hear":
                line = _line(connection)
                talker.heard.append(line)
                if not re.search(text, line):
                    talker.wrong.append(line)
            elif what == "say":
                connection.sendall(text.encode("latin-1"))
            else:
                _misbehave(what, text, connection, talker.stopping)
                return
        while connection.recv(4096):
            pass


def _misbehave(what: str, text: str, connection: socket.socket, stop: threading.Event) -> None:
    if what == "hang":
        stop.wait(10)
    elif what == "drip":
        while not stop.wait(0.05):
            connection.sendall(b"x")
    elif what == "flood":
        data = (text or "x").encode() * 4096
        while not stop.is_set():
            connection.sendall(data)
    elif what == "reset":
        stop.wait(0.15)  # a reset that overtakes the client's connect is another fault
        reset_on_close(connection)


def _line(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\n"):
        more = connection.recv(1)
        if not more:
            break
        data += more
    return data.decode("latin-1").rstrip("\r\n")
