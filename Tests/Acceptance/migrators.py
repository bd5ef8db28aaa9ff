"""Migrations that meet each other, are cut off, tampered with, or newer than the binary.

Claims: of migrators that start at once each succeeds, and together they apply every migration once. A migration that is
cut off when its statements are carried out and its record is not (by `kill -9` of the migrator or of the server's
process for it, or by ending that session; for each migration) leaves the schema as the one before left it, and the next
migrator finishes, also one that has been waiting meanwhile. An edited migration is refused and nothing
changes; so is a newer schema that refuses this binary; one that allows it is served. `serve` refuses the same schemas.
"""

import argparse
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import tiny_model
from cluster import Away, Cluster, Session
from server import Server, Verdict, add_server_arguments

MIGRATOR, SERVER, SESSION = "the migrator is killed", "the server's process is killed", "the session is ended"
GATE = 4_711  # the advisory lock at which a cut migration is held

# Everything that a migration may make, one line each.
CATALOGUE = """
    SELECT line FROM (
        SELECT format('relation %s %s', c.relkind, c.oid::regclass) AS line, c.relnamespace AS space FROM pg_class AS c
        UNION ALL
        SELECT format('column %s %s %s %s %s', a.attrelid::regclass, a.attnum, a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull), c.relnamespace
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE NOT a.attisdropped
        UNION ALL
        SELECT format('constraint %s %s %s', k.conrelid::regclass, k.conname, md5(pg_get_constraintdef(k.oid))),
            k.connamespace
        FROM pg_constraint AS k
        UNION ALL
        SELECT format('function %s %s %s', p.oid::regprocedure, md5(pg_get_functiondef(p.oid)), p.proacl),
            p.pronamespace
        FROM pg_proc AS p WHERE p.prokind = 'f'
        UNION ALL
        SELECT format('trigger %s %s', t.tgrelid::regclass, t.tgname), c.relnamespace
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
    ) AS everything
    WHERE space IN (SELECT oid FROM pg_namespace WHERE nspname IN ('ovenbird', 'ovenbird_views')) ORDER BY line
"""
LEDGER = """
    SELECT version, label, encode(checksum, 'hex'), oldest_binary, is_complete FROM ovenbird.migrations ORDER BY version
"""


class Database:
    """A database of its own on the cluster, with a session to look at it."""

    count = 0

    def __init__(self, cluster):
        Database.count += 1
        self.name = f"migrators_{Database.count}"
        self.cluster = cluster
        self.administrator = cluster.session()
        self.administrator.rows(f"CREATE DATABASE {self.name}")
        self.url = cluster.url.replace("///postgres?", f"///{self.name}?")
        self.session = Session(cluster.psql(), self.url)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.session.close()
        if error is None:
            self.patiently(lambda: self.administrator.rows(f"DROP DATABASE {self.name} WITH (FORCE)"))
        self.administrator.close()

    @staticmethod
    def patiently(work, limit=60):
        """Does it as often as it takes while the server recovers."""
        deadline = time.monotonic() + limit
        while True:
            try:
                return work()
            except Away:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def rows(self, statement):
        return self.patiently(lambda: self.session.rows(statement))

    def state(self):
        """The ledger and the catalogue."""
        return self.rows(LEDGER), self.rows(CATALOGUE)

    def empty_ledger(self):
        """Leaves a migrated database with nothing but its ledger, and that without an entry."""
        self.rows(
            """
            BEGIN;
            ALTER TABLE ovenbird.migrations SET SCHEMA public;
            SET LOCAL client_min_messages = warning;
            DROP SCHEMA ovenbird, ovenbird_views CASCADE;
            CREATE SCHEMA ovenbird;
            ALTER TABLE public.migrations SET SCHEMA ovenbird;
            TRUNCATE ovenbird.migrations;
            COMMIT
            """
        )

    def hold_record(self, version):
        """Lets whoever records that migration wait at the gate."""
        self.rows(
            f"""
            CREATE FUNCTION public.wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock({GATE});
                RETURN NEW;
            END $$;
            CREATE TRIGGER wait_at_gate BEFORE INSERT ON ovenbird.migrations FOR EACH ROW WHEN (NEW.version = {version})
                EXECUTE FUNCTION public.wait_at_gate()
            """
        )

    def release_record(self):
        self.rows("DROP FUNCTION public.wait_at_gate CASCADE")

    def await_connections(self, count, limit=30):
        """Waits until that many migrators are connected."""
        statement = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'ovenbird'
            """
        deadline = time.monotonic() + limit
        while self.rows(statement) != [[str(count)]]:
            if time.monotonic() > deadline:
                raise SystemExit(f"there are not {count} connections")
            time.sleep(0.01)

    def process_at_gate(self, limit=30):
        """The number of the server's process that waits there."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            rows = self.rows(
                f"""
                SELECT pid FROM pg_locks
                WHERE locktype = 'advisory' AND objid = {GATE} AND NOT granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                """
            )
            if rows:
                return int(rows[0][0])
            time.sleep(0.01)
        raise SystemExit("no migrator came to the gate")


class Program:
    """The binary, and the verdict on what it does."""

    def __init__(self, options, verdict):
        self.options, self.verdict = options, verdict

    def start(self, database, command="migrate", *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_")}
        return subprocess.Popen(
            [os.path.abspath(self.options.ovenbird), command, "--database-url", database.url, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def migrate(self, database):
        """The exit status and what was said."""
        process = self.start(database)
        said = process.communicate(timeout=120)[0]
        return process.returncode, said

    def refused(self, database, reason, where):
        """Both commands refuse, give the reason, and change nothing."""
        before = database.state()
        status, said = self.migrate(database)
        self.verdict.expect(status != 0 and reason in said, f"{where}: migrate ended with {status}: {said}")
        process = self.start(database, "serve", "--model", self.options.model, "--port", "0")
        try:
            said = process.communicate(timeout=60)[0]
            self.verdict.expect(
                process.returncode != 0 and reason in said, f"{where}: serve ended with {process.returncode}: {said}"
            )
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.verdict.expect(False, f"{where}: serve went on")
        self.verdict.expect(database.state() == before, f"{where}: something was changed")


def labels(said):
    match = re.search(r"^applied (.*)$", said, re.MULTILINE)
    return match[1].split(", ") if match else []


def race(program, cluster, reference, options):
    """Migrators that start at once."""
    for number in range(options.races):
        with Database(cluster) as database:
            processes = [program.start(database) for _ in range(options.migrators)]
            answers = [process.communicate(timeout=120)[0] for process in processes]
            where = f"race {number}"
            program.verdict.expect(
                all(process.returncode == 0 for process in processes), f"{where}: one of them failed: {answers}"
            )
            applied = [label for said in answers for label in labels(said)]
            wanted = [row[1] for row in reference[0]]
            program.verdict.expect(sorted(applied) == wanted, f"{where}: applied were {applied}")
            program.verdict.expect(database.state() == reference, f"{where}: the schema differs")


def cut(program, cluster, reference, version, kind, accompanied):
    """Cuts a migration off whose statements are carried out and whose record is not; `accompanied` by a migrator that
    waits meanwhile."""
    label, left = reference[0][version - 1][1], [row[1] for row in reference[0][version - 1 :]]

    def expect(holds, claim):
        program.verdict.expect(holds, f"{label}, {kind}, {'accompanied' if accompanied else 'alone'}: {claim}")

    with Database(cluster) as database:
        program.migrate(database)
        database.empty_ledger()
        database.hold_record(version)
        gate = Session(cluster.psql(), database.url)
        gate.rows(f"SELECT pg_advisory_lock({GATE})")
        migrators = [program.start(database)]
        try:
            process = database.process_at_gate()
            if accompanied:
                migrators.append(program.start(database))
                database.await_connections(2)
            before = database.state()
            expect([row[0] for row in before[0]] == [str(n) for n in range(1, version)], f"the ledger: {before[0]}")
            if kind == MIGRATOR:
                migrators[0].kill()
            elif kind == SERVER:
                os.kill(process, signal.SIGKILL)
            else:
                database.rows(f"SELECT pg_terminate_backend({process}, 5000)")
            gate.close()  # lets go of the gate; whoever is still alive passes
            said = [migrator.communicate(timeout=120)[0] for migrator in migrators]
        finally:
            for migrator in migrators:
                if migrator.poll() is None:
                    migrator.kill()
                    migrator.communicate()
        expect(migrators[0].returncode != 0, f"the migrator that was cut off succeeded: {said[0]}")
        if accompanied and kind != SERVER:
            expect(migrators[1].returncode == 0 and labels(said[1]) == left, f"the one that waited: {said[1]}")
        else:
            # The crash of one of its processes ends all of a server's sessions.
            expect(all(migrator.returncode != 0 for migrator in migrators), f"it went on: {said}")
            database.await_connections(0)
            expect(database.state() == before, "something of it stayed")
            status, said = program.migrate(database)
            expect(status == 0 and labels(said) == left, f"the next migrator ended with {status}: {said}")
        database.release_record()
        expect(database.state() == reference, "the schema differs in the end")


def compatibility(program, cluster, reference, options):
    generation = max(int(row[3]) for row in reference[0])
    with Database(cluster) as database:
        program.migrate(database)
        # What a file that was edited later looks like to the ledger.
        last = len(reference[0])
        for version in (1, last):
            database.rows(f"UPDATE ovenbird.migrations SET checksum = sha256(checksum) WHERE version = {version}")
            program.refused(database, "with another text", f"tampered file {version}")
            database.rows(
                f"UPDATE ovenbird.migrations SET checksum = decode('{reference[0][version - 1][2]}', 'hex') "
                f"WHERE version = {version}"
            )

        database.rows(
            f"""
            INSERT INTO ovenbird.migrations (version, label, checksum, oldest_binary, is_complete)
            VALUES ({last + 1}, 'from_the_future', sha256('future'), {generation + 1}, true)
            """
        )
        program.refused(database, f"generation {generation + 1}", "a newer schema that refuses this binary")

        database.rows(f"UPDATE ovenbird.migrations SET oldest_binary = {generation} WHERE version = {last + 1}")
        before = database.state()
        status, said = program.migrate(database)
        program.verdict.expect(
            status == 0 and "nothing to do" in said, f"a newer schema that allows it: {status}: {said}"
        )
        with Server(options.ovenbird, options.model, "--database-url", database.url, *options.serve_option) as server:
            ready = server.client().get("/readyz?require=storage").status
            program.verdict.expect(ready == 200, f"a newer schema that allows it: /readyz answers {ready}")
            server.client().put("/v1/collections/acceptance-newer").expect(201)
            server.client().delete("/v1/collections/acceptance-newer").expect(200)
        program.verdict.expect(database.state() == before, "a newer schema that allows it: it was changed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser, model_required=False)
    parser.add_argument("--pg-bin", required=True, metavar="DIR", help="PostgreSQL's programs, with pgvector")
    parser.add_argument("--races", type=int, default=10, help="how often migrators race (default 10)")
    parser.add_argument("--migrators", type=int, default=4, help="how many race (default 4)")
    options = parser.parse_args()

    verdict = Verdict("migrators")
    with tempfile.TemporaryDirectory(prefix="ovenbird-model-") as folder, Cluster(options.pg_bin) as cluster:
        options.model = options.model or tiny_model.write(folder, width=64, layers=1)
        program = Program(options, verdict)
        with Database(cluster) as database:
            status, said = program.migrate(database)
            verdict.expect(status == 0, f"migrate ended with {status}: {said}")
            reference = database.state()
        versions = range(1, len(reference[0]) + 1)
        race(program, cluster, reference, options)
        cuts = list(itertools.product(versions, (MIGRATOR, SERVER, SESSION), (False, True)))
        for version, kind, accompanied in cuts:
            cut(program, cluster, reference, version, kind, accompanied)
        compatibility(program, cluster, reference, options)
    return verdict.finish(migrations=len(versions), races=options.races, cuts=len(cuts))


if __name__ == "__main__":
    sys.exit(main())
