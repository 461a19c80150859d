"""django-helpdesk taking mail in by its own way: `get_email` on a local mailbox folder, into SQLite.

    django_helpdesk.py FOLDER [--synchronous FULL]

Runs in a virtual environment of its own. It makes its database in FOLDER, prints `ready`, then for every line on
standard input (a folder of mail files) takes those mails in and prints one JSON object. Its quickest fair way: the
command is called in this process, DEBUG off, templates cached, logging off, and acknowledgements are rendered and
given to Django's dummy mail backend, which costs nothing.
"""

import argparse
import json
import sys
import time
from pathlib import Path


def configure(folder: Path, synchronous: str) -> None:
    """Django's settings: WAL, each transaction as durable as asked for."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="bench",
        USE_TZ=True,
        MEDIA_ROOT=str(folder / "media"),
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        HELPDESK_TEAMS_MODE_ENABLED=False,
        LOGGING_CONFIG=None,
        INSTALLED_APPS=[
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
            "django.contrib.sites", "django.contrib.humanize", "django.contrib.admin", "helpdesk", "rest_framework",
        ],
        SITE_ID=1,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(folder / "helpdesk.sqlite3"),
                "OPTIONS": {
                    "transaction_mode": "IMMEDIATE",
                    "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};",
                },
            }
        },
    )  # fmt: skip
    django.setup()
    from django.urls import include, path

    settings.ROOT_URLCONF = (path("", include("helpdesk.urls", namespace="helpdesk")),)  # mails link to their ticket


def open_queue(folder: Path) -> None:
    """One queue with a local mailbox, asked at every call."""
    from django.core.management import call_command
    from helpdesk.models import Queue

    call_command("migrate", verbosity=0)
    Queue.objects.create(
        title="Support", slug="support", email_address="support@example.com", allow_email_submission=True,
        email_box_type="local", email_box_local_dir=str(folder), email_box_interval=0,
    )  # fmt: skip


def take_in(folder: Path) -> dict[str, object]:
    """All mails of a folder; `tickets` says how many of them became one."""
    from django.core.management import call_command
    from django.db import connection
    from helpdesk.models import Queue, Ticket

    Queue.objects.update(email_box_local_dir=str(folder), email_box_last_check=None)
    before = Ticket.objects.count()
    started = time.perf_counter()
    call_command("get_email", quiet=True)
    seconds = time.perf_counter() - started
    with connection.cursor() as cursor:
        pragmas = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    return {"seconds": seconds, "tickets": Ticket.objects.count() - before, "pragmas": pragmas}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--synchronous", default="FULL", choices=["FULL", "NORMAL"])
    asked = parser.parse_args()
    configure(asked.folder, asked.synchronous)
    open_queue(asked.folder)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(take_in(Path(line.strip()))), flush=True)


if __name__ == "__main__":
    main()
