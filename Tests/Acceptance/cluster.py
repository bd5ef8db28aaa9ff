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

from server import HOST


class Cluster:
    """`bin_directory` holds initdb, postgres, pg_isready and psql. As root everything runs as `nobody`, since initdb
    refuses root; that user must be able to reach the directory.

    `settings` are for the server, such as `max_connections=20`. With a `port` it also listens on loopback. `data` and
    `wal` are folders that do not exist yet, for the data and its log, instead of one under the cluster's own.
    """

    def __init__(self, bin_directory, *settings, port=None, data=None, wal=None):
        self.bin = os.path.abspath(bin_directory)
        self.folder = tempfile.mkdtemp(prefix="ovenbird-pg-", dir="/tmp")  # a socket's path has at most 107 bytes
        self.data = data or os.path.join(self.folder, "data")
        self.port = port
        self.settings = [f"listen_addresses={HOST if port else ''}", f"port={port or 5432}", *settings]
        self.process = None
        self.identity = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.log = open(os.path.join(self.folder, "log"), "ab")
        subprocess.run(
            [
                *[f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
                *(["-X", wal, "--wal-segsize=1"] if wal else []),
            ],
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
        """By the socket."""
        port = f"&port={self.port}" if self.port else ""
        return f"postgresql:///postgres?user=postgres&host={urllib.parse.quote(self.folder, safe='')}{port}"

    def session(self):
        return Session(self.psql(), self.url)

    def start(self, limit=60):
        """Returns when connections are accepted. Tried again while orphans of a killed server still hold its memory."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    [
                        *[f"{self.bin}/postgres", "-D", self.data, "-k", self.folder],
                        *(part for setting in self.settings for part in ("-c", setting)),
                    ],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=self.log,
                    stderr=self.log,
                    **self.identity,
                )
            probe = subprocess.run(
                [
                    *[f"{self.bin}/pg_isready", "-q", "-h", self.folder, "-p", str(self.port or 5432)],
                    *["-U", "postgres", "-t", "2"],
                ]
            )
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

    def stop(self):
        """An orderly stop that waits for nobody."""
        self.signal(self.process.pid, signal.SIGINT)
        self.process.wait()

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

    def log_lines(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as file:
            return file.read().splitlines()


class Away(Exception):
    """PostgreSQL does not answer just now."""


class Session:
    """One psql that stays connected, which costs less than one for each statement; for one thread. Where the server is
    away a call connects anew until it is there again, or raises `Away` in the end."""

    END = "-- end of the answer --"

    def __init__(self, psql, url, patience=60):
        self.patience = patience  # seconds
        self.command = [psql, "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", url]
        self.process = None

    def rows(self, statement):
        """The answer's rows as lists of texts, which must hold neither tabs nor line breaks; null is empty."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self.answer(statement)
            except Away:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def answer(self, statement):
        if self.process is None:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
        try:
            self.process.stdin.write(f"{statement.strip().rstrip(';')};\n\\echo {self.END}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.gone() from None
        rows = []
        while (line := self.process.stdout.readline()) != self.END + "\n":
            if not line:
                raise self.gone()
            rows.append(line.rstrip("\n").split("\t"))
        return rows

    def value(self, statement):
        return self.rows(statement)[0][0]

    def gone(self):
        """What to raise: psql ended, because of the connection, or because the statement was refused."""
        process, self.process = self.process, None
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass  # it had ended before it read all
        message = process.stderr.read().strip()
        process.stdout.close()
        process.stderr.close()
        process.wait()
        refused = "ERROR:" in message and not any(text in message for text in ("terminating", "recovery mode"))
        return SystemExit(f"psql failed: {message}") if refused else Away(message)

    def close(self):
        if self.process is not None:
            process, self.process = self.process, None
            process.kill()
            process.communicate()


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
