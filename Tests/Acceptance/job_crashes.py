"""Hurts running jobs at random moments, in six ways, and shows that no input is lost and no vector doubled.

Each fault strikes again and again in jobs of thousands of inputs, half of them for a collection, with three workers:
`kill -9` of a worker; `kill -9` of PostgreSQL; SIGSTOP of a worker until another has finished what it held, then
SIGCONT; connections cut before COMMIT was forwarded; connections cut after it was, before its answer came back; a full
disk. A proxy before PostgreSQL knows the transactions that finish a segment, and holds them so that a fault strikes
within.

Claims: every strike finds a leased segment, and at least a quarter of each fault's strikes a finishing transaction
under way. Every job completes: inputs = successes + errors, every input ends once, no result and no vector is doubled,
every document has the last text sent for it, a sample of vectors equals a fresh embedding. A stopped worker's writes
are refused, and change nothing. Faults of the database and of the network cost no attempt.
"""

import argparse
import contextlib
import os
import random
import re
import signal
import sys
import tempfile
import time

import tiny_model
from job_stage import SmallDisk, Stage, add_stage_arguments
from jobs import Audit, Submission, submit, wait_for_end
from postgres_proxy import ANSWER, COMMIT, DROP, FENCE, FORWARD, Trap
from server import Verdict, add_server_arguments


class Strike:
    """One moment of one fault in one job."""

    def __init__(self, stage, job, submission, chance, options):
        self.stage, self.job, self.submission = stage, job, submission
        self.chance, self.options = chance, options
        self.notes = {}

    def leases(self, worker=None):
        running = [segment for segment in self.stage.segments(self.job) if segment["state"] == "running"]
        return running if worker is None else [s for s in running if self.belongs(s, worker)]

    @staticmethod
    def belongs(segment, worker):
        return str(worker.process.pid) in re.split(r"\D+", segment["worker"])

    def await_lease(self):
        """Somewhere in a segment's life: its worker, or None where the job ended."""
        time.sleep(self.chance.random() * self.options.spread)
        deadline = time.monotonic() + self.options.limit
        while time.monotonic() < deadline:
            segments = self.stage.segments(self.job)
            if all(segment["state"] == "done" for segment in segments):
                return None
            running = [segment for segment in segments if segment["state"] == "running"]
            self.chance.shuffle(running)
            for segment in running:
                for worker in self.stage.workers:
                    if self.belongs(segment, worker):
                        return worker
            time.sleep(0.02)
        return None

    def catch(self, *points):
        """A trap that holds a finishing transaction, or None where none came."""
        trap = self.stage.traps.set(Trap(self.chance.choice(points)))
        deadline = time.monotonic() + self.options.limit
        while not trap.caught.wait(0.1):
            is_over = all(segment["state"] == "done" for segment in self.stage.segments(self.job))
            if (is_over or time.monotonic() > deadline) and self.stage.traps.unset(trap):
                return None
        self.notes["point"] = trap.point
        return trap

    def strike(self, inside):
        """What was struck; None where the job was over before."""
        action = self.within if inside else self.anywhere
        return action() and {"inside": inside, **self.notes}

    def note_leases(self, worker=None):
        self.notes["leased"] = len(self.leases(worker))


class WorkerKilled(Strike):
    name = "worker-kill"

    def within(self):
        if (trap := self.catch(FENCE, COMMIT, ANSWER)) is None:
            return False
        worker = self.stage.victim(trap.link)
        # PostgreSQL has what a worker sent before it died, but not all of it may have left yet.
        verdict = self.chance.choice((FORWARD, DROP))
        self.notes["then"] = verdict
        return self.kill(worker, trap, verdict)

    def anywhere(self):
        worker = self.await_lease()
        return worker is not None and self.kill(worker)

    def kill(self, worker, trap=None, verdict=None):
        # An answer kept back: its segment is done, the worker does not know it yet.
        self.note_leases(None if trap is not None and trap.point == ANSWER else worker)
        worker.kill()
        if trap is not None:
            trap.release(verdict)
        worker.start()
        return True


class PostgresKilled(Strike):
    name = "postmaster-kill"
    costs_nothing = True

    def within(self):
        if (trap := self.catch(FENCE, COMMIT, ANSWER)) is None:
            return False
        self.note_leases()
        if trap.point == COMMIT and self.chance.random() < 0.5:
            self.notes["then"] = "raced"
            trap.release(FORWARD)
            time.sleep(self.chance.random() * 0.003)
            self.kill()
        else:
            self.kill(trap)
        return True

    def anywhere(self):
        if self.await_lease() is None:
            return False
        self.note_leases()
        self.kill()
        return True

    def kill(self, trap=None):
        self.stage.cluster.kill()
        if trap is not None:
            trap.release(DROP)
        time.sleep(self.chance.uniform(0.2, 1.5))
        self.stage.cluster.start()


class WorkerStopped(Strike):
    name = "worker-stop"

    def within(self):
        # Before PostgreSQL 17 nothing but the connection's end takes a lock from who never commits; from 17 on it takes
        # the limit of its transaction.
        version = int(self.stage.session.value("SHOW server_version_num"))
        last = FENCE if version < 170000 or self.options.short else COMMIT
        if (trap := self.catch(FENCE, FENCE, last)) is None:
            return False
        return self.stop(self.stage.victim(trap.link), trap)

    def anywhere(self):
        worker = self.await_lease()
        return worker is not None and self.stop(worker)

    def stop(self, worker, trap=None):
        worker.signal(signal.SIGSTOP)
        begin = time.monotonic()
        held = {segment["id"]: segment["token"] for segment in self.leases(worker)}
        self.notes["leased"] = len(held)
        try:
            self.await_rescue(held)
            self.notes["stopped_seconds"] = round(time.monotonic() - begin, 1)
            before, refusals = self.snapshot(held), self.stage.refusals()
        finally:
            if trap is not None:
                trap.release(FORWARD)  # what the stopped worker sent arrives now
                time.sleep(self.chance.random() * 0.3)
            worker.signal(signal.SIGCONT)
        time.sleep(self.options.aftermath)
        self.notes["finished_by_others"] = len(before[0])
        self.notes["refused"] = self.stage.refusals() - refusals
        self.notes["unchanged"] = self.snapshot(held, only=[row[0] for row in before[0]]) == before
        return True

    def await_rescue(self, held):
        """Until other workers finished everything that the stopped one held."""
        deadline = time.monotonic() + self.options.rescue_limit
        while time.monotonic() < deadline:
            states = {segment["id"]: segment for segment in self.stage.segments(self.job)}
            if all(states[held_id]["state"] == "done" for held_id in held):
                return
            time.sleep(0.1)

    def snapshot(self, held, only=None):
        """The segments among these that are done, and every row that they wrote with the transaction that wrote it."""
        ids = ",".join(held if only is None else only) or "0"
        segments = self.stage.session.rows(
            f"""SELECT id, xmin, attempt, finished_at, worker FROM ovenbird.job_segments
            WHERE id IN ({ids}) AND state = 'done' ORDER BY id"""
        )
        inputs = f"""ovenbird.job_inputs AS i JOIN ovenbird.job_segments AS s
            ON s.job_id = i.job_id AND i.seq BETWEEN s.first_seq AND s.last_seq
                AND s.id IN ({ids}) AND s.state = 'done'"""
        if self.submission.for_collection:
            # Ids that stand in several lines may rightly change again.
            repeated = ",".join(map(str, self.submission.repeated())) or "-1"
            table = self.stage.session.value(
                f"SELECT collection_id FROM ovenbird.jobs WHERE public_id = '{self.job}'"
            )
            rows = f"""SELECT i.seq, d.xmin, d.ctid, v.xmin, v.ctid FROM {inputs}
                JOIN ovenbird.documents_{table} AS d ON d.external_id = i.external_id
                JOIN ovenbird.vectors_{table} AS v ON v.document_id = d.id WHERE i.seq NOT IN ({repeated})"""
        else:
            rows = f"""SELECT i.seq, r.xmin, r.ctid FROM {inputs}
                JOIN ovenbird.job_results AS r ON r.job_id = i.job_id AND r.seq = i.seq"""
        written = self.stage.session.rows(
            f"SELECT count(*), md5(string_agg(w::text, ',' ORDER BY w.seq)) FROM ({rows}) AS w"
        )
        return segments, written


class CutBeforeCommit(Strike):
    name = "cut-before-commit"
    costs_nothing = True
    always_inside = True
    points = (FENCE, COMMIT, COMMIT)

    def within(self):
        if (trap := self.catch(*self.points)) is None:
            return False
        self.note_leases()
        proxy = trap.link.proxy
        trap.release(DROP)
        if self.chance.random() < 0.5:
            self.notes["then"] = "all of the worker's"
            proxy.cut_all()
        return True

    anywhere = within


class CutAfterCommit(CutBeforeCommit):
    name = "cut-after-commit"
    points = (ANSWER,)


class DiskFull(Strike):
    name = "disk-full"
    costs_nothing = True

    def within(self):
        if (trap := self.catch(FENCE)) is None:
            return False
        self.fill(trap)
        return True

    def anywhere(self):
        if self.await_lease() is None:
            return False
        self.fill()
        return True

    def fill(self, trap=None):
        disk, before = self.stage.disk, self.stage.shortages()
        self.note_leases()
        disk.fill()
        try:
            if trap is not None:
                trap.release(FORWARD)
            deadline = time.monotonic() + 5
            while self.stage.shortages() == before and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(self.chance.uniform(0.5, 3))
            self.notes["errors"] = self.stage.shortages() - before
        finally:
            disk.empty()
        # Without room for its log PostgreSQL gives up altogether, and may not even come up by itself.
        self.stage.cluster.start()


FAULTS = [WorkerKilled, PostgresKilled, WorkerStopped, CutBeforeCommit, CutAfterCommit, DiskFull]


class Campaign:
    """All strikes of one fault."""

    def __init__(self, fault, stage, options, verdict):
        self.fault, self.common_stage, self.options, self.verdict = fault, stage, options, verdict
        self.chance = random.Random(f"{options.seed} {fault.name}")
        self.strikes, self.jobs = [], []

    def run(self):
        begin, number = time.monotonic(), 0
        # A strike that came too late for its job is made up for in another one; a stopped worker's may each need one.
        while len(self.strikes) < self.options.moments and number < self.options.moments + self.options.jobs:
            with self.stage(number) as stage:
                self.run_job(stage, number)
            number += 1
        self.claim()
        return self.figures(time.monotonic() - begin)

    def stage(self, number):
        if self.fault is not DiskFull:
            return contextlib.nullcontext(self.common_stage)
        return Stage(
            *(self.options, self.options.workers, self.options.lease),
            disk=SmallDisk(self.options.disk),
            wal_on_disk=number % 2 == 1,
        )

    def run_job(self, stage, number):
        options, where = self.options, f"{self.fault.name}, job {number + 1}"
        collection = f"acceptance-{self.fault.name}-{number}" if number % 2 else None
        submission = Submission(options.inputs, f"{self.chance.random():.6f}", collection is not None)
        client = stage.server.client(timeout=120)
        job = submit(client, submission, collection)["id"]
        moments = min(-(-options.moments // options.jobs), options.moments - len(self.strikes))
        for place in range(moments):
            threshold = (place + self.chance.random()) / moments * (0.3 if options.short else 0.8)
            if not self.await_progress(stage, job, threshold):
                break
            inside = getattr(self.fault, "always_inside", False) or len(self.strikes) % 2 == 0
            strike = self.fault(stage, job, submission, self.chance, options)
            if struck := strike.strike(inside):
                struck = {"job": number + 1, "at": round(threshold, 2), **struck}
                self.strikes.append(struck)
                print(self.fault.name, *(f"{key}={value}" for key, value in struck.items()), flush=True)
        ended = wait_for_end(client, job, options.job_limit)
        if ended["state"] != "completed":
            print(f"{where}: {ended}; segments: {stage.segments(job)[:40]}", file=sys.stderr)
        audit = Audit(stage.session, client, job, submission, collection, self.verdict, where)
        figures = audit.check(options.sample, options.seed)
        self.jobs.append(figures)
        for worker in stage.workers:
            self.verdict.expect(worker.alive(), f"{where}: {worker.name} ended: {worker.log.name}")
        if getattr(self.fault, "costs_nothing", False):
            self.verdict.expect(figures.get("max_attempt") == 1, f"{where}: attempts were charged: {figures}")
        print(f"{where}: {figures}", flush=True)

    def await_progress(self, stage, job, threshold):
        """Until that share of the job's segments is done; False where none is left to strike."""
        deadline = time.monotonic() + self.options.job_limit
        while time.monotonic() < deadline:
            segments = stage.segments(job)
            done = sum(segment["state"] == "done" for segment in segments)
            if done == len(segments):
                return False
            if done >= threshold * len(segments):
                return True
            time.sleep(0.02)
        return False

    def claim(self):
        name, strikes, expect = self.fault.name, self.strikes, self.verdict.expect
        expect(len(strikes) >= self.options.moments, f"{name}: only {len(strikes)} of {self.options.moments} strikes")
        for strike in strikes:
            late = strike.get("point") == ANSWER  # that segment was committed in this very moment
            expect(strike["leased"] > 0 or late, f"{name}: no segment was leased: {strike}")
        inside = sum(strike["inside"] for strike in strikes)
        expect(4 * inside >= len(strikes), f"{name}: only {inside} of {len(strikes)} within a finishing transaction")
        if self.fault is WorkerStopped:
            for strike in strikes:
                expect(strike["finished_by_others"] == strike["leased"], f"{name}: not rescued in time: {strike}")
                expect(strike["unchanged"], f"{name}: something changed after SIGCONT: {strike}")
                expect(
                    strike.get("point") != FENCE or strike["refused"] > 0,
                    f"{name}: a zombie's write was not refused: {strike}",
                )
        if self.fault is DiskFull:
            hit = sum(strike["errors"] > 0 for strike in strikes)
            expect(4 * hit >= 3 * len(strikes), f"{name}: only {hit} of {len(strikes)} strikes ran out of space")

    def figures(self, seconds):
        count = len(self.strikes)
        row = {
            "strikes": count,
            "with_a_lease": sum(strike["leased"] > 0 for strike in self.strikes),
            "inside": sum(strike["inside"] for strike in self.strikes),
            "points": sorted({strike["point"] for strike in self.strikes if "point" in strike}),
            "jobs": len(self.jobs),
            "max_attempt": max((job.get("max_attempt", 0) for job in self.jobs), default=None),
            "least_cosine": min((job.get("least_cosine", 0) for job in self.jobs), default=None),
            "seconds": round(seconds, 1),
        }
        if self.fault is WorkerStopped:
            row["zombie_segments"] = sum(strike["finished_by_others"] for strike in self.strikes)
            row["refused_writes"] = sum(strike["refused"] for strike in self.strikes)
        return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser, model_required=False)
    add_stage_arguments(parser)
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--fault", action="append", choices=names, help="only this one; repeatable")
    parser.add_argument("--moments", type=int, default=20, help="strikes a fault")
    parser.add_argument("--jobs", type=int, default=5, help="jobs that they are spread over")
    parser.add_argument("--inputs", type=int, default=5_000, help="a job")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lease", type=int, default=3, help="--job-lease of the workers, in seconds")
    parser.add_argument("--sample", type=int, default=64, help="vectors a job that are computed anew")
    parser.add_argument("--disk", type=int, default=200, help="MiB of the small disk")
    parser.add_argument("--spread", type=float, default=1.0, help="seconds over which moments outside are spread")
    parser.add_argument("--limit", type=float, default=15.0, help="seconds until a moment is missed")
    parser.add_argument("--rescue-limit", type=float, default=60.0, help="seconds a stopped worker may stay so")
    parser.add_argument("--aftermath", type=float, default=1.5, help="seconds given to a worker after SIGCONT")
    parser.add_argument("--job-limit", type=float, default=300.0, help="seconds a job may take")
    parser.add_argument("--seed", type=int, default=None, help="as an earlier run printed it")
    parser.add_argument("--short", action="store_true", help="one strike a fault in smaller jobs, under a minute")
    options = parser.parse_args()
    if options.short:
        options.moments, options.jobs, options.inputs = 1, 1, 2_500
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {options.seed}", flush=True)

    verdict, figures = Verdict("job_crashes"), {}
    faults = [fault for fault in FAULTS if not options.fault or fault.name in options.fault]
    with tempfile.TemporaryDirectory(prefix="ovenbird-tiny-") as folder, contextlib.ExitStack() as stack:
        options.model = options.model or tiny_model.write(folder, width=128, layers=4 if options.short else 8)
        stage = None
        if faults != [DiskFull]:
            stage = stack.enter_context(Stage(options, options.workers, options.lease))
        for fault in faults:
            if fault is DiskFull and (obstacle := SmallDisk.obstacle()):
                print(f"SKIPPED: {fault.name}: {obstacle}", file=sys.stderr, flush=True)
                verdict.expect("CI" not in os.environ, f"{fault.name} must run here: {obstacle}")
                figures[fault.name] = {"skipped": obstacle}
                continue
            figures[fault.name] = Campaign(fault, stage, options, verdict).run()
    return verdict.finish(seed=options.seed, faults=figures)


if __name__ == "__main__":
    sys.exit(main())
