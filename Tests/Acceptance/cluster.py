"""A throw-away PostgreSQL server on a unix socket, which a test may kill, freeze and start again."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse


class Cluster:
    """`bin_directory` holds initdb, postgres, pg_isready and psql. As root everything runs as `nobody`, since initdb
    refuses root; that user must be able to reach the directory."""

    def __init__(self, bin_directory):
        self.bin = os.path.abspath(bin_directory)
        self.folder = tempfile.mkdtemp(prefix="ovenbird-pg-", dir="/tmp")  # a socket's path has at most 107 bytes
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self.identity = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.log = open(os.path.join(self.folder, "log"), "ab")
        subprocess.run(
            [f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True,
            cwd=self.folder,
            stdout=self.log,
            stderr=self.log,
            **self.identity,
        )

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.resume()
        self.kill()
        self.log.close()
        if error is None:
            shutil.rmtree(self.folder)
        else:
            print(f"the cluster's folder: {self.folder}", file=sys.stderr)

    @property
    def url(self):
        return f"postgresql:///postgres?user=postgres&host={urllib.parse.quote(self.folder, safe='')}"

    def start(self, limit=60):
        """Returns when connections are accepted. Tried again while orphans of a killed server still hold its memory."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    [f"{self.bin}/postgres", "-D", self.data, "-k", self.folder, "-c", "listen_addresses="],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=self.log,
                    stderr=self.log,
                    **self.identity,
                )
            probe = subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", self.folder, "-U", "postgres", "-t", "2"])
            if probe.returncode == 0 and self.process.poll() is None:
                return
            time.sleep(0.1)
        raise SystemExit(f"PostgreSQL did not start within {limit} s; its log: {self.folder}/log")

    def processes(self):
        """The postmaster first, then its children."""
        found = [self.process.pid]
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError):
                continue  # it ended meanwhile
            if parent == self.process.pid:
                found.append(int(entry))
        return found

    def kill(self):
        """`kill -9` of the postmaster and of what it left behind."""
        if self.process is None or self.process.poll() is not None:
            return
        family = self.processes()
        for pid in family:
            self.signal(pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        """SIGSTOP: connections stay open, nothing answers."""
        self.frozen = []
        while fresh := [pid for pid in self.processes() if pid not in self.frozen]:  # one may be forked while we list
            for pid in fresh:
                self.signal(pid, signal.SIGSTOP)
            self.frozen += fresh

    def resume(self):
        for pid in reversed(getattr(self, "frozen", [])):
            self.signal(pid, signal.SIGCONT)
        self.frozen = []

    @staticmethod
    def signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it ended meanwhile

    def psql(self):
        return f"{self.bin}/psql"


def query(psql, url, statement):
    """The first column of each row, as text; rows must not hold line breaks."""
    result = subprocess.run(
        [psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    if result.returncode != 0:
        raise SystemExit(f"psql failed: {result.stderr.strip()}")
    return result.stdout.splitlines()
