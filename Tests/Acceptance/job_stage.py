"""A PostgreSQL, `ovenbird serve` without job workers, and `ovenbird worker` processes that reach it through proxies:
what `job_crashes.py` and `job_outage.py` play on."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time

from cluster import Cluster
from jobs import Worker
from postgres_proxy import Proxy, Traps
from server import Server, free_port

# What a finishing transaction, and no other, holds: the call with the fence in it.
FENCE = r"finish_segment"


class SmallDisk:
    """A tmpfs of its own, which can be filled to the last byte. Needs root, and that mounting is allowed."""

    def __init__(self, mebibytes):
        self.folder = tempfile.mkdtemp(prefix="ovenbird-disk-", dir="/tmp")
        self.ballast = os.path.join(self.folder, "ballast")
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "ovenbird-disk", self.folder],
            stderr=subprocess.PIPE,
            text=True,
        )
        if result.returncode != 0:
            os.rmdir(self.folder)
            raise PermissionError(result.stderr.strip())
        nobody = pwd.getpwnam("nobody")
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)

    @staticmethod
    def obstacle():
        """Why there can be none here, or nothing."""
        if os.geteuid() != 0:
            return "only root may mount"
        try:
            SmallDisk(1).remove()
        except PermissionError as error:
            return str(error)
        return None

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def empty(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.ballast)

    def free_bytes(self):
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize

    def remove(self):
        for delay in (0, 0.2, 1, 5):
            time.sleep(delay)
            if subprocess.run(["umount", self.folder], stderr=subprocess.DEVNULL).returncode == 0:
                os.rmdir(self.folder)
                return
        raise SystemExit(f"{self.folder} could not be unmounted")


class Stage(contextlib.ExitStack):
    def __init__(self, options, worker_count, lease, disk=None, wal_on_disk=False):
        super().__init__()
        self.options, self.disk = options, disk
        self.traps, self.workers, self.proxies = Traps(), [], []
        try:
            self.build(worker_count, lease, wal_on_disk)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def build(self, worker_count, lease, wal_on_disk):
        options, places = self.options, {}
        if self.disk is not None:
            self.callback(self.disk.remove)
            wal = self.disk.folder if wal_on_disk else tempfile.mkdtemp(prefix="ovenbird-wal-", dir="/tmp")
            if not wal_on_disk:
                self.callback(shutil.rmtree, wal)
                shutil.chown(wal, "nobody")
            places = {"data": f"{self.disk.folder}/data", "wal": f"{wal}/wal"}
        self.cluster = self.enter_context(
            Cluster(options.pg_bin, "log_line_prefix=%m [%p] %e ", "max_connections=60", port=free_port(), **places)
        )
        limits = ["--job-lease", lease, "--job-poll", options.poll]
        self.server = self.enter_context(
            Server(
                *[options.ovenbird, options.model, "--database-url", self.cluster.url, "--migrate"],
                *["--job-workers", 0, "--threads", 1, *options.serve_option],
            )
        )
        self.session = self.cluster.session()
        self.callback(self.session.close)
        for number in range(worker_count):
            proxy = Proxy(self.cluster.port, FENCE, self.traps)
            self.callback(proxy.close)
            self.proxies.append(proxy)
            self.workers.append(
                self.enter_context(
                    Worker(
                        *[options.ovenbird, options.model, proxy.url, *limits, "--threads", 1],
                        *options.worker_option,
                        name=f"worker-{number + 1}",
                    )
                )
            )

    def victim(self, link):
        """Whose connection it is."""
        return self.workers[self.proxies.index(link.proxy)]

    def segments(self, job):
        """Of a job by its public id: the segments as dictionaries."""
        names = ("id", "first", "last", "state", "attempt", "token", "worker")
        rows = self.session.rows(
            f"""SELECT s.id, first_seq, last_seq, s.state, attempt, lease_token, worker FROM ovenbird.job_segments AS s
            WHERE s.job_id = (SELECT id FROM ovenbird.jobs WHERE public_id = '{job}') ORDER BY first_seq"""
        )
        return [dict(zip(names, row)) for row in rows]

    def refusals(self):
        """Writes that the fence refused so far, as PostgreSQL logged them."""
        return sum(" OB001 " in line for line in self.cluster.log_lines())

    def shortages(self):
        return sum("No space left on device" in line for line in self.cluster.log_lines())


def add_stage_arguments(parser):
    parser.add_argument(
        "--pg-bin", required=True, metavar="DIR", help="initdb, postgres, pg_isready and psql, with pgvector"
    )
    parser.add_argument(
        "--worker-option", action="append", default=[], metavar="OPTION", help="as --serve-option, for the workers"
    )
    parser.add_argument("--poll", type=int, default=200, metavar="MS", help="--job-poll of the workers")
