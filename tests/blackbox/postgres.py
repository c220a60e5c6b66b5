"""A private PostgreSQL: made by `initdb` in a temporary folder, on a loopback port, gone with the session.

`TRADEWIND_TEST_POSTGRES` (postgres://USER@HOST:PORT) names a server to use instead, whose user may create databases.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from values import unique
from waiting import eventually

EXISTING = os.environ.get("TRADEWIND_TEST_POSTGRES")
USER = "tradewind"
# Small, and with what several databases need. What an acknowledgement means is left as it is: fsync is on.
SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "300",
    "max_prepared_transactions": "64",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] %a ",
}


def find(program):
    """Where Debian keeps it, or wherever it is."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}")) or [shutil.which(program)]
    if not found[-1]:
        raise RuntimeError(f"no {program}: install the package postgresql, or name a server in TRADEWIND_TEST_POSTGRES")
    return found[-1]


def unprivileged():
    """PostgreSQL does not run as root; then it runs as this user."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Postgres:
    is_kept = False

    def __init__(self, folder=None, port=None):
        """In `folder` it goes on with what is there, and stays when it ends; without one it is gone with the session."""
        self.process, self.is_kept = None, folder is not None
        if EXISTING and not self.is_kept:
            self.base = EXISTING.rstrip("/")
            return
        self.folder = folder or pathlib.Path(tempfile.mkdtemp(prefix="tradewind-postgres-"))
        self.folder.mkdir(exist_ok=True)
        self.user = unprivileged()
        if self.user:
            shutil.chown(self.folder, self.user)
        self.data = self.folder / "data"
        self.port = port or free_port()
        self.base = f"postgres://{USER}@127.0.0.1:{self.port}"
        if not self.data.exists():
            self._run("initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "-D", str(self.data))
        self.start()

    def _run(self, program, *arguments):
        ended = subprocess.run(
            [find(program), *arguments], user=self.user, capture_output=True, text=True, cwd=self.folder, timeout=120
        )
        assert ended.returncode == 0, f"{program}: {ended.stdout}{ended.stderr}"

    def start(self):
        settings = {**SETTINGS, "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # It ends with the tests, however they end.
        guard = ["setpriv", "--pdeathsig", "SIGQUIT"]
        if self.user:
            guard += ["--reuid", self.user, "--regid", str(pwd.getpwnam(self.user).pw_gid), "--clear-groups"]
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [*guard, find("postgres"), "-D", str(self.data), *given],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
        )
        eventually(self._answers, within=60, every=0.05, saying="PostgreSQL answers")

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.sql("postgres", "select 1") == "1"
        return False

    def sql(self, database, statement):
        """Runs a statement with psql; rows by lines, columns by `|`."""
        ended = subprocess.run(
            [find("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", f"{self.base}/{database}", "-c", statement],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return ended.stdout.strip()

    def create_database(self):
        """The URL of a new, empty database."""
        name = unique("tw").replace("-", "_").lower()
        self.sql("postgres", f'create database "{name}"')
        return f"{self.base}/{name}"

    def database(self, name):
        """The URL of a database, which is made if it is not there."""
        if not self.sql("postgres", f"select 1 from pg_database where datname = '{name}'"):
            self.sql("postgres", f'create database "{name}"')
        return f"{self.base}/{name}"

    def copy(self, url, name):
        """Another database with what this one has, while nobody uses it; where there is one of that name, instead of it."""
        self.sql("postgres", f'drop database if exists "{name}" with (force)')
        self.sql("postgres", f'create database "{name}" template "{url.rsplit("/", 1)[1]}"')
        return f"{self.base}/{name}"

    def stop(self, how=signal.SIGINT):
        """SIGINT ends every session first, SIGQUIT is as a crash (`pg_ctl stop -m immediate`)."""
        self.process.send_signal(how)
        self.process.wait(timeout=60)
        self.log.close()

    def signal_all(self, how):
        """SIGSTOP: no process of the server goes on; the kernel still accepts connections for it."""
        self.process.send_signal(how)
        for stat in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                with open(stat) as opened:
                    pid, rest = opened.read().split(" ", 1)
                if int(rest.rsplit(") ", 1)[1].split()[1]) == self.process.pid:
                    os.kill(int(pid), how)

    def close(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.stop(signal.SIGINT if self.is_kept else signal.SIGQUIT)
        if not self.is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def standby(self):
        """Another server, which follows this one."""
        return Standby(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Standby(Postgres):
    def __init__(self, primary):
        self.process, self.user = None, primary.user
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tradewind-standby-"))
        if self.user:
            shutil.chown(self.folder, self.user)
        self.data, self.port = self.folder / "data", free_port()
        self.base = f"postgres://{USER}@127.0.0.1:{self.port}"
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", USER]
        self._run("pg_basebackup", *source, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D", str(self.data))
        self.start()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
