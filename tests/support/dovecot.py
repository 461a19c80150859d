"""A real Dovecot with a Maildir, on ports of its own: mail arrives in it, it is killed, it is started again."""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from imapclient import IMAPClient
from serving import Gateway, free_port

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = {folder}
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {user}
mail_gid = {mail_group}
mail_location = maildir:{folder}/mail/%u
mailbox_list_index = no
maildir_very_dirty_syncs = no
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
auth_mechanisms = plain login {mechanisms}
imap_capability = {capability}
{oauth}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={mail_group} home={folder}/home/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 1000
}}
mail_max_userip_connections = 100
auth_failure_delay = 0
"""
OAUTH = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2
}}
"""
USER, PASSWORD = "support", "open sesame"


@dataclass
class Dovecot:
    """`mail` is put in at any time, whether it runs or not; `tokens` is a port that says which tokens are good.

    Started by root, its processes are somebody else; so its folder is in no test's own, which others may not enter.
    """

    certificate: tuple[Path, Path]
    capability: str = ""  # what it says it can, instead of what it can
    tokens: int = 0
    imap: int = field(default_factory=free_port)
    imaps: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dovecot-")))
    _count: int = 0

    def __post_init__(self) -> None:
        root = os.getuid() == 0
        me, us = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        for name in ("run", "state", "mail", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for file, name in zip(self.certificate, ("certificate.pem", "key.pem"), strict=True):
            shutil.copy(file, self.folder / name)
        (self.folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        (self.folder / "oauth2").write_text(
            f"introspection_url = http://127.0.0.1:{self.tokens}/\nintrospection_mode = post\n"
            "username_attribute = user\nactive_attribute = active\nactive_value = true\n"
        )
        self.config.write_text(CONFIG.format(
            folder=self.folder, certificate=self.folder / "certificate.pem", key=self.folder / "key.pem",
            user="dovecot" if root else me, mail_group="dovecot" if root else us, internal="dovecot" if root else me, group="dovecot" if root else us, login="dovenull" if root else me,
            imap=self.imap, imaps=self.imaps, capability=self.capability,
            mechanisms="xoauth2 oauthbearer" if self.tokens else "",
            oauth=OAUTH.format(folder=self.folder) if self.tokens else "",
        ))  # fmt: skip
        if root:
            self.folder.chmod(0o711)
            for name in ("mail", "home"):
                shutil.chown(self.folder / name, "dovecot", "dovecot")

    @property
    def config(self) -> Path:
        return self.folder / "dovecot.conf"

    @property
    def maildir(self) -> Path:
        return self.folder / "mail" / USER

    def start(self) -> "Dovecot":
        (self.folder / "run" / "master.pid").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(self.config)],
            stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.imap), 1) as line:
                if line.recv(10).startswith(b"* OK"):
                    return self
            time.sleep(0.02)
        log = self.folder / "dovecot.log"
        raise AssertionError(f"Dovecot did not start:\n{log.read_text()[-3000:] if log.exists() else ''}")

    def kill(self) -> None:
        """kill -9, it and all its processes."""
        if self.process:
            children = _below(self.process.pid)
            for pid in (self.process.pid, *children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self) -> "Dovecot":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def mail(self, raw: bytes, folder: str = "INBOX", arrived: float | None = None) -> None:
        """Deliver, as a mail server does: whole or not at all."""
        home = self.maildir if folder == "INBOX" else self.maildir / f".{folder}"
        for place in (self.maildir, home, home / "tmp", home / "new", home / "cur"):
            place.mkdir(exist_ok=True)
            self._give(place)
        self._count += 1
        name = f"{time.time():.6f}.{os.getpid()}_{self._count}.test"
        (home / "tmp" / name).write_bytes(raw)
        self._give(home / "tmp" / name)
        if arrived is not None:
            os.utime(home / "tmp" / name, (arrived, arrived))
        (home / "tmp" / name).rename(home / "new" / name)

    def _give(self, path: Path) -> None:
        if os.getuid() == 0:
            shutil.chown(path, "dovecot", "dovecot")

    def forget_uids(self, folder: str = "INBOX") -> None:
        """Another UIDVALIDITY, as after a server was set up anew from its mails. It must not run."""
        home = self.maildir if folder == "INBOX" else self.maildir / f".{folder}"
        for file in home.glob("dovecot*"):
            file.unlink() if file.is_file() else shutil.rmtree(file)
        time.sleep(1.1)  # it takes the second it is made in

    def client(self) -> IMAPClient:
        """Somebody else who reads the mailbox."""
        client = IMAPClient("127.0.0.1", self.imap, ssl=False, timeout=20)
        client.login(USER, PASSWORD)
        return client

    def flags(self, folder: str = "INBOX") -> list[tuple[bytes, ...]]:
        with self.client() as client:
            client.select_folder(folder, readonly=True)
            return [said[b"FLAGS"] for said in client.fetch(client.search("ALL"), ["FLAGS"]).values()]


def _below(pid: int) -> list[int]:
    """All processes it started, and those that they did."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in found.splitlines()]
    below: list[int] = []
    ground = {pid}
    while ground:
        ground = {child for child, parent in pairs if parent in ground}
        below.extend(ground)
    return below


def letter(identity: str, text: str = "订单还没有收到，请核实。", **fields: str) -> bytes:
    made = EmailMessage()
    made["From"] = fields.pop("sender", f"客户 <{identity}@example.cn>")
    made["To"] = "support@example.com"
    made["Subject"] = f"问题 {identity}"
    made["Message-ID"] = f"<{identity}@example.cn>"
    for name, value in fields.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made.as_bytes()


ACCOUNT = """\
  - connector: email_imap
    account: mailbox
    addresses: [support@example.com]
    host: localhost
    port: {port}
    ca_file: {ca_file}
    username: {user}
    password: {{file: mailbox-password}}
"""


def read_by(gateway: Gateway, dovecot: Dovecot, **more: str) -> Gateway:
    """Have a gateway, before it starts, read the mailbox too."""
    account = ACCOUNT.format(port=dovecot.imaps, ca_file=dovecot.certificate[0], user=USER)
    account += "".join(f"    {name}: {value}\n" for name, value in more.items())
    (gateway.folder / "mailbox-password").write_text(PASSWORD)
    gateway.config.write_text(gateway.config.read_text().replace("helpdesks:\n", account + "helpdesks:\n"))
    return gateway
