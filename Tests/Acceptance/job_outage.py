"""Takes PostgreSQL away for a minute in the middle of a job, twice: frozen by SIGSTOP, and stopped and started again.

Two workers with the default lease, which is shorter than the outage. Claims: the job completes by itself, no attempt is
charged, every input ends once, and the invariants of `job_crashes.py` hold.
"""

import argparse
import random
import sys
import tempfile
import time

import tiny_model
from job_stage import Stage, add_stage_arguments
from jobs import Audit, Submission, submit, wait_for_end
from server import Verdict, add_server_arguments

COLLECTION = "acceptance-outage"


def await_share(stage, job, share, limit):
    """Until that share of the job's segments is done and another one is under way."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        states = [segment["state"] for segment in stage.segments(job)]
        if states.count("done") >= share * len(states) and "running" in states:
            return True
        time.sleep(0.05)
    return False


def outage(stage, job, frozen, options, verdict):
    """One of them; its figures."""
    what = "frozen" if frozen else "stopped"
    begin = time.monotonic()
    stage.session.close()  # an orderly stop waits for nobody, but a frozen psql would be waited for
    if frozen:
        stage.cluster.freeze()
    else:
        stage.cluster.stop()
    time.sleep(options.away)
    if frozen:
        stage.cluster.resume()
    else:
        stage.cluster.start()
    before = stage.segments(job)
    done = sum(segment["state"] == "done" for segment in before)
    back = time.monotonic()
    while time.monotonic() < back + options.recovery:
        if sum(segment["state"] == "done" for segment in stage.segments(job)) > done:
            break
        time.sleep(0.05)
    else:
        verdict.expect(False, f"{what}: no segment was finished within {options.recovery} s of the database's return")
    row = {
        "kind": what,
        "away_seconds": round(back - begin, 1),
        "segments_done": done,
        "leased": sum(segment["state"] == "running" for segment in before),
        "recovery_seconds": round(time.monotonic() - back, 2),
    }
    verdict.expect(row["leased"] > 0, f"{what}: no segment was leased")
    print(row, flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser, model_required=False)
    add_stage_arguments(parser)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--away", type=float, default=60.0, help="seconds of each outage")
    parser.add_argument("--lease", type=int, default=30, help="--job-lease of the workers, in seconds")
    parser.add_argument("--recovery", type=float, default=30.0, help="seconds until a segment is finished again")
    parser.add_argument("--job-limit", type=float, default=900.0, help="seconds for the job, outages included")
    parser.add_argument("--sample", type=int, default=64, help="vectors that are computed anew")
    parser.add_argument("--seed", type=int, default=None, help="as an earlier run printed it")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {options.seed}", flush=True)

    verdict, rows = Verdict("job_outage"), []
    with tempfile.TemporaryDirectory(prefix="ovenbird-tiny-") as folder:
        options.model = options.model or tiny_model.write(folder, width=128, layers=8)
        with Stage(options, 2, options.lease) as stage:
            client = stage.server.client(timeout=120)
            submission = Submission(options.inputs, options.seed, for_collection=True)
            job = submit(client, submission, COLLECTION)["id"]
            for share, frozen in ((0.2, True), (0.5, False)):
                if verdict.expect(
                    await_share(stage, job, share, options.job_limit), f"the job never came to {share:.0%}"
                ):
                    rows.append(outage(stage, job, frozen, options, verdict))
            wait_for_end(client, job, options.job_limit)
            audit = Audit(stage.session, client, job, submission, COLLECTION, verdict, "the job")
            figures = audit.check(options.sample, options.seed)
            charged = stage.session.rows("SELECT id, attempt, last_error FROM ovenbird.job_segments WHERE attempt > 1")
            verdict.expect(not charged, f"attempts were charged: {charged}")
            for worker in stage.workers:
                verdict.expect(worker.alive(), f"{worker.name} lives")
    return verdict.finish(seed=options.seed, outages=rows, **figures)


if __name__ == "__main__":
    sys.exit(main())
