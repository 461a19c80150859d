"""Templates that fail only when rendered: found before the start, and if not, they cost the answer and never the ticket."""

import json
import shutil
from pathlib import Path

import pytest
from serving import Desk, Gateway, MailSink

from gateway import mind, settings
from normalizer.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
SUBJECT = "subject: Received\n\n"
MAIL = (
    b"From: Li <li@example.cn>\r\nTo: support@example.com\r\nSubject: a zebra\r\n"
    b"Message-ID: <zebra@example.cn>\r\n\r\nwhere is my parcel\r\n"
)


def with_template(folder: Path, text: str, name: str = "received.en.liquid") -> Path:
    """The rules that come with Ticketgate, but for one template; gives the settings file."""
    shutil.copytree(ROOT / "rules", folder / "rules")
    (folder / "rules" / "templates" / name).write_text(text)
    file = folder / "config" / "ticketgate.yaml"
    file.parent.mkdir()
    file.write_text("company: Sample\n")
    return file


@pytest.mark.parametrize(
    ("words", "place", "says"),
    [
        ("{% include 'footer' %}", "3:4", "include"),
        ("Hello\n  {% render 'footer' %}", "4:6", "render"),
        ("{{ number | divided_by: 0 }}", "3:13", "divide by 0"),
        ("{{ number | slice: 'x' }}", "3:13", "slice expected an integer"),
        ("{{ number | rond }}", "3:13", "known: abs"),
        ("{% for i in (1..2000) %}x{% endfor %}", "3:4", "limit"),
        ("{{ name.first }}", "3:4", "name.first"),
        ("{% if name == '' %}{{ number | modulo: 0 }}{% endif %}", "3:32", "an empty ticket"),
        ("{% if category == '' and order_number != '' %}{{ number | modulo: 0 }}{% endif %}", "3:59", "request"),
        ("{% if category == 'Complaint' %}{{ number | modulo: 0 }}{% endif %}", "3:45", "category complaint"),
        ("{% if priority == 'Urgent' %}{{ number | modulo: 0 }}{% endif %}", "3:42", "priority urgent"),
        ("{% if promise == '' %}{{ number | modulo: 0 }}{% endif %}", "3:35", "an empty ticket"),
    ],
)
def test_a_template_that_fails_for_some_ticket_stops_the_start_and_says_where_and_for_which(
    tmp_path: Path, words: str, place: str, says: str
) -> None:
    file = with_template(tmp_path, SUBJECT + words)
    with pytest.raises(ConfigError) as caught:
        mind.read(settings.read(file))
    assert str(caught.value.where).endswith(f"received.en.liquid:{place}")
    assert says in str(caught.value)
    assert caught.value.hint
    assert caught.value.code == "template"


def test_a_fault_that_no_sample_shows_has_its_file_when_the_filter_tells_no_place(tmp_path: Path) -> None:
    file = with_template(tmp_path, SUBJECT + "{{ name | sum }}", "received-vip.zh.liquid")
    with pytest.raises(ConfigError, match=r"received-vip\.zh\.liquid: cannot be rendered: InvalidOperation"):
        mind.read(settings.read(file))


def test_a_template_that_fails_for_one_customer_costs_the_answer_and_not_the_ticket(tmp_path: Path) -> None:
    text = SUBJECT + "{% if subject contains 'zebra' %}{{ number | divided_by: 0 }}{% endif %}Hello {{ number }}"
    with_template(tmp_path, text, "received.en.liquid")
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        gateway.config.write_text("rules: rules\n" + gateway.config.read_text())
        with gateway:
            gateway.mail(MAIL)
            gateway.mail(MAIL.replace(b"zebra", b"horse"))
            gateway.settle()
            by_subject = {ticket["subject"]: ticket for ticket in gateway.tickets()}
            assert not by_subject["a zebra"]["acked_at"]
            assert by_subject["a horse"]["acked_at"]
            assert len(sink.mails) == 1
            assert len(desk.received) == 2
            assert gateway.metric("ticketgate_acknowledgements_unrendered_total") == 1

            (decision,) = gateway.json("explain", by_subject["a zebra"]["number"], "--json")
            assert {"acknowledge", "hand_over"} & {e["verb"] for e in decision["effects"]} == {"hand_over"}
            assert decision["withheld"] == ["acknowledge: template received.en.liquid:3:46 cannot be rendered"]
    (told,) = [line for line in map(json.loads, gateway.log.read_text().splitlines()) if line["level"] == "error"]
    assert told["event"] == "words for the customer withheld"
    assert "Traceback" not in gateway.log.read_text()
