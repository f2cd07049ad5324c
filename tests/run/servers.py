"""Real servers on this machine for notices: a webhook that keeps what it gets, and a mail server with STARTTLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PASSWORD = "pa55-word-of-mail"


class Hook(BaseHTTPRequestHandler):
    """Answers with the statuses of ``server.answers`` one by one, then 200; keeps what it got."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def webhook() -> Iterator[HTTPServer]:
    """A webhook; ``address`` holds a secret as addresses of robots do."""
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.got, server.answers = [], []
    server.address = f"http://127.0.0.1:{server.server_port}/robot?key=s3cret-of-robot"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Mailbox:
    """What a mail server was handed, and who logged in."""

    def __init__(self):
        self.mails, self.logins, self.refused = [], [], set()

    def auth(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        return AuthResult(
            success=data.password.decode() == PASSWORD, handled=data.password.decode() == PASSWORD
        )

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return f"550 no such mailbox {address} {PASSWORD}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@contextmanager
def mail_server(authority_file: Path) -> Iterator[Mailbox]:
    """A mail server on localhost with STARTTLS and AUTH; whoever is to trust it needs ``authority_file``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(authority_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    box = Mailbox()
    box.port = free_port()
    controller = Controller(
        box,
        hostname="localhost",
        port=box.port,
        authenticator=box.auth,
        auth_require_tls=True,
        tls_context=context,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
