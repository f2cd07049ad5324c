"""Claims about notices: real servers get them, over TLS where there is a password; no failure is more than a line of log."""

from __future__ import annotations

import json

import pytest
from aiosmtpd.controller import Controller
from servers import PASSWORD, free_port, mail_server, webhook

from cobench.run.notices import SMTP, VARIABLES, WEBHOOK, Channels, Notice, send, take_channels

NOTICE = Notice(
    "示例区 第二学期：报告已全部发布", "4 份已发布\n缺材料：S02 示例初中", {"state": "published", "failed": 0}
)


@pytest.fixture
def hook():
    with webhook() as server:
        yield server


@pytest.fixture
def mailbox(tmp_path, monkeypatch):
    """A mail server whose authority this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with mail_server(tmp_path / "ca.pem") as box:
        yield box


def settings(box, **changes) -> dict[str, str]:
    plain = {
        "host": "localhost", "port": str(box.port), "user": "cobench", "password": PASSWORD, "from": "eval@district.example",
        "to": "head@district.example, clerk@district.example", "security": "",
    }  # fmt: skip
    return plain | changes


def sent(channels: Channels) -> tuple[dict[str, bool], str]:
    said = []
    found = send(NOTICE, channels, say=lambda text: said.append(text.en + text.zh), pause=0.01)
    return found, "\n".join(said)


# ---- webhook ------------------------------------------------------------------------------------------


def test_a_webhook_gets_a_text_message_and_the_facts(hook):
    found, _ = sent(Channels(f"http://127.0.0.1:{hook.server_port}/robot?key=s3cret"))
    assert found == {"webhook": True}
    [(path, kind, body)] = hook.got
    assert path == "/robot?key=s3cret" and kind == "application/json; charset=utf-8"
    assert json.loads(body) == {
        "msgtype": "text",
        "text": {"content": f"{NOTICE.subject}\n{NOTICE.text}"},
        "cobench": {"state": "published", "failed": 0},
    }


def test_a_server_that_recovers_gets_its_notice_and_one_that_does_not_costs_a_line(hook):
    address = f"http://127.0.0.1:{hook.server_port}/robot?key=s3cret"
    hook.answers = [500, 503]
    found, said = sent(Channels(address))
    assert found == {"webhook": True} and "HTTP 500 (1/3)" in said and "HTTP 503 (2/3)" in said
    hook.answers = [500] * 9
    found, said = sent(Channels(address))
    assert found == {"webhook": False} and "HTTP 500 (3/3)" in said and len(hook.got) == 6
    hook.shutdown()
    hook.server_close()
    found, refused = sent(Channels(address))
    assert found == {"webhook": False} and "ConnectionRefusedError" in refused
    assert "s3cret" not in said + refused and "127.0.0.1" not in said + refused


def test_a_redirect_is_not_followed_and_an_address_that_is_none_is_not_tried(hook):
    hook.answers = [302] * 3
    found, said = sent(Channels(f"http://127.0.0.1:{hook.server_port}/"))
    assert found == {"webhook": False} and "HTTP 302" in said
    assert [path for path, _, _ in hook.got] == ["/"] * 3
    for address in ("file:///etc/hostname", "robot s3cret", "http://[s3cret"):
        found, said = sent(Channels(address))
        assert found == {"webhook": False} and "s3cret" not in said


# ---- mail ---------------------------------------------------------------------------------------------


def test_a_mail_goes_over_tls_with_its_chinese_whole_to_all_receivers(mailbox):
    found, _ = sent(Channels(mail=settings(mailbox)))
    assert found == {"mail": True}
    [(envelope, message)] = mailbox.mails
    assert mailbox.logins == [("cobench", PASSWORD, True)]
    assert envelope.rcpt_tos == ["head@district.example", "clerk@district.example"]
    assert message["Subject"] == NOTICE.subject and message["From"] == "eval@district.example"
    assert message.get_content().splitlines() == NOTICE.text.splitlines()


def test_a_wrong_password_and_a_refused_receiver_are_told_without_what_the_server_said(mailbox):
    found, said = sent(Channels(mail=settings(mailbox, password="wrong-pa55")))
    assert found == {"mail": False} and "SMTPAuthenticationError 535" in said and "wrong-pa55" not in said
    mailbox.refused = {"clerk@district.example"}
    found, said = sent(Channels(mail=settings(mailbox)))
    assert found == {"mail": False} and "1 receiver(s) were refused" in said
    assert PASSWORD not in said and "clerk" not in said and len(mailbox.mails) == 1


def test_a_server_that_nobody_vouches_for_gets_no_password(mailbox, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    found, said = sent(Channels(mail=settings(mailbox)))
    assert found == {"mail": False} and "SSLCertVerificationError" in said
    assert mailbox.logins == [] and mailbox.mails == []


def test_without_tls_no_password_is_sent_and_mail_without_one_is(mailbox):
    port = str(free_port())
    plain = Controller(mailbox, hostname="localhost", port=int(port))
    plain.start()
    try:
        found, said = sent(Channels(mail=settings(mailbox, port=port)))
        assert found == {"mail": False} and "SMTPNotSupportedError" in said, "no STARTTLS there"
        found, said = sent(Channels(mail=settings(mailbox, port=port, security="none")))
        assert found == {"mail": False} and "no password is sent" in said
        found, _ = sent(Channels(mail=settings(mailbox, port=port, security="none", user="", password="")))
        assert found == {"mail": True} and mailbox.logins == [] and len(mailbox.mails) == 1
    finally:
        plain.stop()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"to": " , "}, "COBENCH_SMTP_TO"),
        ({"from": ""}, "COBENCH_SMTP_FROM"),
        ({"port": "smtp"}, "COBENCH_SMTP_PORT"),
        ({"security": "tls"}, "starttls, ssl"),
        ({"from": "a@b\nBcc: c@d"}, "ValueError"),
    ],
)
def test_settings_that_make_no_mail_are_told_by_the_name_of_their_variable(mailbox, changes, told):
    found, said = sent(Channels(mail=settings(mailbox, **changes)))
    assert found == {"mail": False} and told in said and mailbox.mails == []


def test_a_failing_webhook_does_not_keep_the_mail(mailbox):
    found, _ = sent(Channels("http://127.0.0.1:1/", settings(mailbox)))
    assert found == {"webhook": False, "mail": True}


# ---- settings -----------------------------------------------------------------------------------------


def test_settings_are_taken_out_of_the_environment_and_never_shown():
    environment = dict.fromkeys(VARIABLES, "s3cret") | {"HOME": "/h"}
    channels = take_channels(environment)
    assert environment == {"HOME": "/h"}
    assert channels.webhook == channels.mail["password"] == "s3cret" and "s3cret" not in repr(channels)
    assert set(VARIABLES) == {WEBHOOK, *SMTP.values()}


def test_empty_settings_as_github_passes_them_send_nothing():
    assert take_channels(dict.fromkeys(VARIABLES, "")) == Channels()
    assert send(NOTICE, Channels(), say=print) == {}
