"""Times the dense layers of every table of kernels that this processor has, in every precision, beside OpenBLAS.

Decides by figures whether float runs on our own kernels or on OpenBLAS: OpenBLAS is the choice wherever it is within
5 % of ours, as `blas.c` calls it, over the layers of MiniLM and bge-base. OpenBLAS runs the kernels that it has for the
same instructions, whatever the processor could do besides. One thread; Gop/s count a multiplication and an addition as
two; `share` is that of bare multiply-and-add loops of the table; `whole` is one call of OpenBLAS for a whole product,
without bias: the most that could be had of it.

Needs clang and OpenBLAS. Claims nothing, and exits with 0.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "CKernels")
# OpenBLAS's name for a processor, and the tables of ours that use the same instructions.
PARTNERS = {
    "x86_64": {"Haswell": ["avx2"], "SkylakeX": ["avx512", "avx512vnni", "avx512bf16", "amx"]},
    "aarch64": {"NEOVERSEN1": ["neon", "neondot", "neonbf16"]},
}
FLAGS = {
    "avx2": ["avx2", "fma"],
    "avx512": ["avx512f", "avx512bw", "avx512dq", "avx512vl"],
    "avx512vnni": ["avx512_vnni"],
    "avx512bf16": ["avx512_vnni", "avx512_bf16"],
    "amx": ["amx_bf16", "amx_int8"],
    "neon": [],
    "neondot": ["asimddp"],
    "neonbf16": ["bf16", "i8mm"],
}
PRECISIONS = ["fp32", "bf16", "int8"]


def build(folder):
    program = os.path.join(folder, "dense_speed")
    sources = [os.path.join(SOURCES, name) for name in sorted(os.listdir(SOURCES)) if name.endswith(".c")]
    command = ["clang", "-std=gnu17", "-O2", f"-I{SOURCES}/include", "-o", program]
    subprocess.run([*command, os.path.join(HERE, "dense_speed.c"), *sources, "-lopenblas", "-lm"], check=True)
    return program


def available(tables):
    with open("/proc/cpuinfo") as file:
        line = next(line for line in file if line.startswith(("flags", "Features")))
    return [table for table in tables if set(FLAGS[table]) <= set(line.split(":")[1].split())]


def rates(measured):
    """For (precision, table, model, rows): operations a second over all the model's layers, and the share."""
    sums = defaultdict(lambda: [0.0, 0.0, 0.0])
    for one in measured:
        operations = 2.0 * one["rows"] * one["outputs"] * one["inputs"]
        entry = sums[PRECISIONS[one["precision"]], one["table"], one["model"], one["rows"]]
        entry[0] += operations
        entry[1] += operations / one["gops"]
        entry[2] = one["peak"]
    return {key: (done / time, done / time / peak if peak else None) for key, (done, time, peak) in sums.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often each product is timed; the fastest counts")
    arguments = parser.parse_args()

    rows, choice = [], {}
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder)
        for core, partners in PARTNERS[os.uname().machine].items():
            tables = available(partners)
            if not tables:
                continue
            command = [program, str(arguments.rounds), *tables, "openblas", "whole"]
            environment = {**os.environ, "OPENBLAS_CORETYPE": core}
            found = rates(json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout))
            for (precision, table, model, row_count), (rate, share) in found.items():
                name = f"{table} {core}" if share is None else table
                figures = {"gops": round(rate, 1), "share": share and round(share, 3)}
                rows.append({"table": name, "precision": precision, "model": model, "rows": row_count, **figures})
            for table in tables:
                # By the least favourable size to ours.
                ratios = {
                    other: [
                        found["fp32", other, *key[2:]][0] / rate
                        for key, (rate, _) in found.items()
                        if key[:2] == ("fp32", table)
                    ]
                    for other in ("openblas", "whole")
                }
                choice[table] = {
                    "fp32": "OpenBLAS" if max(ratios["openblas"]) >= 0.95 else "own kernels",
                    **{f"{name}_to_own": [round(f(values), 3) for f in (min, max)] for name, values in ratios.items()},
                }
    for row in rows:
        print(json.dumps(row))
    print(json.dumps({"program": "dense_speed", "passed": True, "failures": 0, "choice": choice}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
