"""Compares fp32 vectors of `ovenbird bench`, in both layouts, with reference vectors that sentence-transformers made.

Claim: for every text of every set the cosine to the reference is at least 0.999999. The folder holds SET.ndjson with
the texts and SET.ref.f32 with the reference: little-endian float32, row-major, rows in the order of the texts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy

from server import Verdict

FIGURES = ("seconds", "texts", "tokens", "texts_per_second", "tokens_per_second", "padding_ratio")


def bench(options, layout, input_path, output_path):
    """The figures of one run: the object on the last line of stdout."""
    command = [
        os.path.abspath(options.ovenbird),
        "bench",
        "--model",
        options.model,
        "--precision",
        "fp32",
        "--threads",
        str(options.threads),
        "--layout",
        layout,
        "--input",
        input_path,
        "--output",
        output_path,
        "--json",
    ]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit(f"bench --layout {layout} ended with status {result.returncode}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def cosines(vectors, reference):
    vectors, reference = vectors.astype(numpy.float64), reference.astype(numpy.float64)
    lengths = numpy.linalg.norm(vectors, axis=1) * numpy.linalg.norm(reference, axis=1)
    return (vectors * reference).sum(1) / numpy.where(lengths == 0, numpy.nan, lengths)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ovenbird", required=True, metavar="PATH", help="the binary")
    parser.add_argument("--model", required=True, metavar="DIR", help="the model's folder")
    parser.add_argument("--data", required=True, metavar="DIR", help="SET.ndjson and SET.ref.f32")
    parser.add_argument("--sets", default="mixed,short,long")
    parser.add_argument("--layouts", default="padded,packed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.999999, help="the least cosine allowed")
    options = parser.parse_args()

    verdict = Verdict("vectors_match")
    runs, faster, between = [], {}, {}
    for name in options.sets.split(","):
        input_path = os.path.join(options.data, f"{name}.ndjson")
        with open(input_path, encoding="utf-8") as file:
            rows = sum(1 for line in file if line.strip())
        reference = numpy.fromfile(os.path.join(options.data, f"{name}.ref.f32"), "<f4").reshape(rows, -1)
        first = None
        for layout in options.layouts.split(","):
            with tempfile.TemporaryDirectory() as folder:
                output_path = os.path.join(folder, "vectors.f32")
                figures = bench(options, layout, input_path, output_path)
                vectors = numpy.fromfile(output_path, "<f4")
            if not verdict.expect(
                vectors.size == reference.size, f"{name}, {layout}: {vectors.size} of {reference.size} values"
            ):
                continue
            vectors = vectors.reshape(rows, -1)
            verdict.expect(numpy.isfinite(vectors).all(), f"{name}, {layout}: a value is not finite")
            missing = [key for key in FIGURES if key not in figures]
            verdict.expect(not missing, f"{name}, {layout}: bench's figures lack {missing}")
            verdict.expect(
                figures.get("texts") == rows, f"{name}, {layout}: bench counts {figures.get('texts')} of {rows} texts"
            )
            cosine = cosines(vectors, reference)
            worst = int(numpy.argmin(numpy.nan_to_num(cosine, nan=-1)))
            below = int((~(cosine >= options.least)).sum())
            verdict.expect(
                below == 0,
                f"{name}, {layout}: {below} texts below {options.least}, worst {cosine[worst]} (row {worst})",
            )
            run = {
                "set": name,
                "layout": layout,
                "min_cosine": float(cosine[worst]),
                "mean_cosine": float(cosine.mean()),
                "largest_difference": float(numpy.abs(vectors - reference).max()),
                **{key: figures[key] for key in FIGURES if key in figures},
            }
            runs.append(run)
            print(
                f"{name:6} {layout:6} cosine min {run['min_cosine']:.9f} mean {run['mean_cosine']:.9f}  "
                f"{figures.get('texts_per_second', 0):8.1f} texts/s "
                f"{figures.get('tokens_per_second', 0):9.0f} tokens/s  "
                f"padding {figures.get('padding_ratio', 0):.4f}",
                flush=True,
            )
            first = vectors if first is None else first
            between[name] = max(between.get(name, 0.0), float(numpy.abs(vectors - first).max()))
        timed = [run for run in runs if run["set"] == name and "seconds" in run]
        if len(timed) > 1:
            best = min(timed, key=lambda run: run["seconds"])
            faster[name] = best["layout"]
            ratio = max(run["seconds"] for run in timed) / best["seconds"]
            print(f"{name:6} {best['layout']} is {ratio:.3f} times as fast")
    return verdict.finish(runs=runs, faster_layout=faster, largest_difference_between_layouts=between)


if __name__ == "__main__":
    sys.exit(main())
