"""Mail that services post to a real gateway: one message each, however often and by whichever way it comes."""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dovecot import letter
from serving import Gateway, post

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
ACCOUNTS = """\
  - {{connector: email_service, account: grid, addresses: [support@example.com], provider: sendgrid, public_keys: ["{public}"]}}
  - {{connector: email_service, account: gun-mime, addresses: [support@example.com], provider: mailgun, signing_keys: [{{file: secret}}]}}
  - {{connector: email_service, account: mark, addresses: [support@example.com], provider: postmark, basic: {{username: u, password: {{file: secret}}}}}}
helpdesks:
"""


def sendgrid(raw: bytes, signed_with: ec.EllipticCurvePrivateKey = KEY) -> tuple[bytes, dict[str, str]]:
    body = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n' + raw + b"\r\n--x--\r\n"
    now = str(int(time.time()))
    signature = base64.b64encode(signed_with.sign(now.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    return body, {
        "content-type": "multipart/form-data; boundary=x", "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": now,
    }  # fmt: skip


def mailgun(raw: bytes, token: str) -> tuple[bytes, dict[str, str]]:
    now = str(int(time.time()))
    signature = hmac.new(b"known to us two", (now + token).encode(), hashlib.sha256).hexdigest()
    fields = {
        "timestamp": now,
        "token": token,
        "signature": signature,
        "recipient": "support@example.com",
        "body-mime": raw,
    }
    return urlencode(fields).encode(), {"content-type": "application/x-www-form-urlencoded"}


def postmark(raw: bytes, password: str = "known to us two") -> tuple[bytes, dict[str, str]]:
    login = base64.b64encode(f"u:{password}".encode()).decode()
    return json.dumps({"RawEmail": raw.decode()}).encode(), {
        "content-type": "application/json",
        "authorization": f"Basic {login}",
    }


def test_what_services_post_is_one_message_each_and_what_is_not_theirs_is_kept_aside(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off")
    (tmp_path / "secret").write_text("known to us two")
    accounts = ACCOUNTS.format(public=base64.b64encode(PUBLIC).decode())
    gateway.config.write_text(gateway.config.read_text().replace("helpdesks:\n", accounts))
    with gateway:
        to = f"http://127.0.0.1:{gateway.http}/in/email_service/"
        for _ in range(2):  # each may ask again
            assert post(to + "grid", *sendgrid(letter("grid"))) == 200
            assert post(to + "gun-mime", *mailgun(letter("gun"), "once")) == 200
            assert post(to + "mark", *postmark(letter("mark"))) == 200
        assert post(to + "gun-mime", *mailgun(letter("forged"), "once")) == 200  # a token that was seen before
        assert post(to + "gun-mime", *mailgun(letter("grid"), "twice")) == 200  # the same mail by another service
        gateway.mail(letter("mark"))  # and by SMTP
        assert post(to + "grid", *sendgrid(letter("stolen"), ec.generate_private_key(ec.SECP256R1()))) == 401
        assert post(to + "mark", *postmark(letter("guessed"), "a guess")) == 401
        gateway.settle()
        said = Counter(message["external_id"] for ticket in gateway.tickets() for message in ticket["messages"])
        kept = [row["code"] for row in gateway.json("quarantine", "list", "--stage", "door")]
    assert said == Counter({"grid@example.cn": 1, "gun@example.cn": 1, "mark@example.cn": 1})
    assert kept == ["unverified", "unverified"]
