"""Word of a finished run to a webhook or by mail; addresses and passwords come from the environment only.

Whatever goes wrong here is told by its kind: messages of servers may repeat an address or a password.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from cobench.declared import Text
from cobench.run.words import phrase

WEBHOOK = "COBENCH_WEBHOOK"
SMTP = {
    name: f"COBENCH_SMTP_{name.upper()}"
    for name in ("host", "port", "user", "password", "from", "to", "security")
}
VARIABLES = (WEBHOOK, *SMTP.values())
TRIES, TIMEOUT = 3, 15


@dataclass(frozen=True)
class Channels:
    """Where to send notices; empty where there is nothing to send to."""

    webhook: str = field(default="", repr=False)
    mail: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Notice:
    """What is sent: a subject, a text, and the same as data."""

    subject: str
    text: str
    facts: Mapping[str, object]


class NotSent(Exception):
    """A notice that can't be sent as the settings are; trying again is no use."""

    def __init__(self, why: Text):
        super().__init__(why.en)
        self.why = why


def take_channels(environment: MutableMapping[str, str]) -> Channels:
    """The settings of ``environment``, which loses them: notebooks must not inherit a password."""
    found = {name: environment.pop(name, "").strip() for name in VARIABLES}
    mail = {key: found[name] for key, name in SMTP.items()}
    return Channels(found[WEBHOOK], mail if mail["host"] else {})


def send(
    notice: Notice, channels: Channels, *, say: Callable[[Text], None], pause: float = 2.0
) -> dict[str, bool]:
    """Send ``notice`` by each channel, thrice at most; failures are said and never raised.

    Returns
    -------
    dict of str to bool
        Whether it was sent, by channel: ``webhook``, ``mail``.
    """
    ways: dict[str, Callable[[], None]] = {}
    if channels.webhook:
        ways["webhook"] = lambda: post(channels.webhook, notice)
    if channels.mail:
        ways["mail"] = lambda: mail(channels.mail, notice)
    return {name: _tried(name, way, say, pause) for name, way in ways.items()}


def _tried(name: str, way: Callable[[], None], say: Callable[[Text], None], pause: float) -> bool:
    for attempt in range(1, TRIES + 1):
        try:
            way()
        except NotSent as error:
            say(phrase("schedule.not_sent", name=name, what=error.why))
            return False
        except Exception as error:  # nothing about a notice may end a run
            say(phrase("schedule.not_sent", name=name, what=f"{_kind(error)} ({attempt}/{TRIES})"))
        else:
            say(phrase("schedule.sent", name=name))
            return True
        if attempt < TRIES:
            time.sleep(pause * 2 ** (attempt - 1))
    return False


def _kind(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        error = error.reason
    code = getattr(error, "smtp_code", "") or getattr(error, "errno", "") or ""
    return f"{type(error).__name__} {code}".strip()


# ---- webhook ------------------------------------------------------------------------------------------


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send on what the address was trusted with; it counts as a failure."""

    def redirect_request(self, *_):
        return None


def post(address: str, notice: Notice) -> None:
    """Send ``notice`` as JSON: a text message as the group robots of WeCom and DingTalk take it, and the facts."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise NotSent(phrase("schedule.no_url", name=WEBHOOK))
    body = {
        "msgtype": "text",
        "text": {"content": f"{notice.subject}\n{notice.text}"},
        "cobench": notice.facts,
    }
    request = urllib.request.Request(
        address,
        data=json.dumps(body, ensure_ascii=False).encode("utf-8"),
        headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "cobench"},
        method="POST",
    )
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
        answer.read(1)


# ---- mail ---------------------------------------------------------------------------------------------


def mail(settings: Mapping[str, str], notice: Notice) -> None:
    """Send ``notice`` by mail, over TLS unless ``security`` is ``none``; a password never goes in the clear."""
    receivers = [each.strip() for each in settings["to"].split(",") if each.strip()]
    if not (settings["from"] and receivers):
        raise NotSent(phrase("schedule.no_addresses", sender=SMTP["from"], receivers=SMTP["to"]))
    security = settings["security"] or ("ssl" if settings["port"] == "465" else "starttls")
    if security not in ("starttls", "ssl", "none") or not (settings["port"] or "0").isdigit():
        raise NotSent(phrase("schedule.bad_mail", security=SMTP["security"], port=SMTP["port"]))
    if security == "none" and settings["password"]:
        raise NotSent(phrase("schedule.clear_password", name=SMTP["security"]))
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = (
        notice.subject,
        settings["from"],
        ", ".join(receivers),
    )
    message["Date"], message["Message-ID"] = formatdate(localtime=True), make_msgid(domain="cobench.invalid")
    message.set_content(notice.text)
    port = int(settings["port"] or {"ssl": 465, "starttls": 587, "none": 25}[security])
    context = ssl.create_default_context()
    if security == "ssl":
        server = smtplib.SMTP_SSL(settings["host"], port, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(settings["host"], port, timeout=TIMEOUT)
    with server:
        if security == "starttls":
            server.starttls(context=context)
        if settings["user"] or settings["password"]:
            server.login(settings["user"], settings["password"])
        refused = server.send_message(message, to_addrs=receivers)
    if refused:
        raise NotSent(phrase("schedule.some_refused", n=len(refused)))
