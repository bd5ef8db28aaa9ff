"""The integration tests against PostgreSQL itself, and through pgbouncer in transaction mode.

For each `--pg-bin`: starts a PostgreSQL, runs the tests directly, then with their pools and stores behind a pgbouncer
that has few server sessions to lend and passes no start-up parameter on. Claims: both runs pass; as many tests run; and
pgbouncer did carry transactions. Run it in the repository; the tests are built first where they are not.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time

from cluster import Cluster, query
from server import Verdict

PORT = 6_432  # only a part of the socket's name
SESSIONS = 5  # for each database and user

CONFIGURATION = """
[databases]
* = host={folder} port=5432
[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
stats_users = postgres
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 1000
logfile = {folder}/pgbouncer.log
"""


class Pooler:
    """pgbouncer in front of a cluster, in its folder; use it as a context."""

    def __init__(self, program, cluster):
        self.program, self.cluster = program, cluster
        self.configuration = os.path.join(cluster.folder, "pgbouncer.ini")
        with open(self.configuration, "w") as file:
            file.write(CONFIGURATION.format(folder=cluster.folder, port=PORT, sessions=SESSIONS))
        with open(os.path.join(cluster.folder, "users"), "w") as file:
            file.write('"postgres" ""\n')

    def __enter__(self):
        # Like PostgreSQL it refuses root.
        self.process = subprocess.Popen(
            [self.program, "-q", self.configuration], cwd=self.cluster.folder, **self.cluster.identity
        )
        deadline = time.monotonic() + 30
        while not os.path.exists(os.path.join(self.cluster.folder, f".s.PGSQL.{PORT}")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("pgbouncer did not start")
            time.sleep(0.1)
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()

    @property
    def url(self):
        return f"{self.cluster.url}&port={PORT}"

    def transactions(self):
        """How many it has carried."""
        console = self.url.replace("///postgres?", "///pgbouncer?")
        return sum(int(line.split("|")[1]) for line in query_rows(self.cluster.psql(), console, "SHOW STATS_TOTALS"))


def query_rows(psql, url, statement):
    result = subprocess.run(
        [psql, "-X", "-q", "-A", "-t", "-d", url, "-c", statement], stdout=subprocess.PIPE, text=True, check=True
    )
    return [line for line in result.stdout.splitlines() if line]


def run_tests(options, **urls):
    """How many tests ran, how long, and whether all passed."""
    begin = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_TEST_D")}
    result = subprocess.run(
        [
            *["swift", "test", "-c", "release", "--disable-testable-imports", "--filter", options.filter],
            *options.test_option,
        ],
        env=environment | urls,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    match = re.search(r"Test run with (\d+) tests?", result.stdout)
    failures = [line for line in result.stdout.splitlines() if "✘" in line]
    passed = result.returncode == 0 and match is not None
    if not passed:
        print("\n".join(result.stdout.splitlines()[-20:] if match is None else failures), file=sys.stderr)
    return int(match[1]) if match else 0, round(time.monotonic() - begin, 1), passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pg-bin",
        required=True,
        action="append",
        metavar="DIR",
        help="PostgreSQL's programs, with pgvector; repeatable",
    )
    parser.add_argument("--pgbouncer", metavar="PATH", help="default: the one in PATH or /usr/sbin")
    parser.add_argument("--filter", default="^IntegrationTests", help="which tests (default: all that need a database)")
    parser.add_argument(
        "--test-option", action="append", default=[], metavar="OPTION", help="a further one for `swift test`; repeatable"
    )
    options = parser.parse_args()
    program = options.pgbouncer or shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise SystemExit("there is no pgbouncer; on Debian: apt-get install pgbouncer")

    verdict, runs = Verdict("pooled"), []
    for directory in options.pg_bin:
        with Cluster(directory) as cluster:
            version = query(cluster.psql(), cluster.url, "SHOW server_version")[0]
            count, seconds, passed = run_tests(options, OVENBIRD_TEST_DATABASE_URL=cluster.url)
            verdict.expect(passed and count > 0, f"PostgreSQL {version}: {count} tests did not all pass")
            runs.append({"postgresql": version, "pooled": False, "tests": count, "seconds": seconds})
            with Pooler(program, cluster) as pooler:
                pooled_count, seconds, passed = run_tests(
                    options, OVENBIRD_TEST_DATABASE_URL=pooler.url, OVENBIRD_TEST_DIRECT_URL=cluster.url
                )
                transactions = pooler.transactions()
            where = f"PostgreSQL {version} behind pgbouncer"
            verdict.expect(passed, f"{where}: {pooled_count} tests did not all pass")
            verdict.expect(pooled_count == count, f"{where}: {pooled_count} tests, and {count} without it")
            verdict.expect(transactions > 0, f"{where}: nothing went through it")
            runs.append(
                {
                    "postgresql": version,
                    "pooled": True,
                    "tests": pooled_count,
                    "seconds": seconds,
                    "transactions": transactions,
                }
            )
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    return verdict.finish(pgbouncer=version, sessions=SESSIONS, runs=runs)


if __name__ == "__main__":
    sys.exit(main())
