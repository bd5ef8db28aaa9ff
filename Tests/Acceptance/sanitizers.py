#!/usr/bin/env python3
"""Runs the kernels' tests under the address and the undefined-behaviour sanitizer, and shows that they would notice.

    python3 Tests/Acceptance/sanitizers.py [--swift swift] [--keep DIR] [--jobs N]

It copies the kernels, the encoder and their tests into a package of their own, without the rest and its dependencies, and
calls there what can be called in the whole repository too, where it takes much longer to build:

    swift test --sanitize=address -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined --filter KernelTests

First as the sources stand: every test of the kernels must pass. Then with one fault planted at a time, in a loop of a
kernel: a panel read one step too far, a vector written one value too far, a sum that leaves its type's range, and a tail
that ends one value too soon; each must end in red, with the sanitizer's own words or, for the last, a test's. About
five minutes on two cores.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ["Sources/CKernels", "Sources/Embeddings", "Sources/Inference", "Sources/JSON", "Tests/AllocationCounter",
          "Tests/Golden/tiny-berts", "Tests/InferenceTests"]
TARGETS = ["JSON", "Embeddings", "CKernels", "Inference", "AllocationCounter", "InferenceTests"]
FLAGS = ["--sanitize=address", "-Xcc", "-fsanitize=undefined", "-Xcc", "-fno-sanitize-recover=undefined"]
KERNEL_TESTS = "KernelTests"

# What it is, the file, the text there and what takes its place, the tests that must notice, and how they say it.
FAULTS = [
    ("a panel read one step too far", "tile_kernels.h",
     "for (int32_t s = 0; s < step_count; s++) {\n        const char *from",
     "for (int32_t s = 0; s <= step_count; s++) {\n        const char *from",
     "productsAgreeAtGreatSizes", "heap-buffer-overflow"),
    ("a vector written one value too far", "rows.c",
     "for (int32_t i = 0; i < count; i++) values[i] /= norm;",
     "for (int32_t i = 0; i <= count; i++) values[i] /= norm;",
     "vectorsAreNormalisedAsPyTorchDoes", "heap-buffer-overflow"),
    ("a sum that leaves its type's range", "reference.c",
     "int32_t exact = 0;", "int32_t exact = INT32_MAX - 1000;",
     "plainProductsAreTheirDefinition", "signed integer overflow"),
    ("a tail that ends one value too soon", "vector_math.h",
     "void store_part(float *to, vf value, int64_t count) { memcpy(to, &value, (size_t)count * sizeof(float)); }",
     "void store_part(float *to, vf value, int64_t count) { memcpy(to, &value, (size_t)(count - 1) * sizeof(float)); }",
     "normsAreTheirDefinition", "Expectation failed"),
]


def target(manifest, name):
    """The target's own lines of the repository's manifest: what is tested is built as it is there."""
    start = re.search(r"\n( *)\.(?:target|testTarget)\(\s*name: \"%s\"" % name, manifest).start() + 1
    depth, end = 0, manifest.index("(", start)
    while True:
        depth += {"(": 1, ")": -1}.get(manifest[end], 0)
        end += 1
        if depth == 0:
            return manifest[start:end] + ",\n"


def write_package(folder):
    for path in COPIED:
        shutil.copytree(ROOT / path, folder / path, dirs_exist_ok=True)
    manifest = (ROOT / "Package.swift").read_text()
    head = manifest[:manifest.index("let package")]
    targets = "".join(target(manifest, name) for name in TARGETS)
    (folder / "Package.swift").write_text(
        f'{head}let package = Package(\n    name: "kernels",\n    targets: [\n{targets}    ]\n)\n')


def run(options, folder, tests):
    """Whether they passed, and all that they printed."""
    command = [options.swift, "test", *FLAGS, "--filter", tests, *(["-j", str(options.jobs)] if options.jobs else [])]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode == 0, done.stdout


def tests_run(output):
    counts = [int(count) for count in re.findall(r"Test run with (\d+) tests?", output)]
    return max(counts, default=0)


def judge(options, folder):
    figures = {}
    started = time.monotonic()
    passed, output = run(options, folder, KERNEL_TESTS)
    figures["clean"] = {"passed": passed, "tests": tests_run(output), "seconds": round(time.monotonic() - started)}
    print(f"as the sources stand: {figures['clean']}", flush=True)
    if not passed or figures["clean"]["tests"] < 20:
        print(output[-6_000:])
        return False, figures
    noticed = True
    for name, file, old, new, tests, words in FAULTS:
        path = folder / "Sources/CKernels" / file
        text = path.read_text()
        if text.count(old) != 1:
            print(f"{file} holds the place to plant {name} {text.count(old)} times")
            return False, figures
        path.write_text(text.replace(old, new))
        started = time.monotonic()
        passed, output = run(options, folder, tests)
        path.write_text(text)
        is_noticed = not passed and words in output
        figures[name] = {"noticed": is_noticed, "by": tests, "seconds": round(time.monotonic() - started)}
        print(f"{name}: {figures[name]}", flush=True)
        if not is_noticed:
            print(output[-6_000:])
        noticed = noticed and is_noticed
    return noticed, figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swift", default="swift")
    parser.add_argument("--keep", help="build in this folder, and leave it there")
    parser.add_argument("--jobs", type=int, help="compilers at a time")
    options = parser.parse_args()
    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="ovenbird-sanitizers-"))
    folder.mkdir(exist_ok=True)
    try:
        write_package(folder)
        held, figures = judge(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"held": held, **figures}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
