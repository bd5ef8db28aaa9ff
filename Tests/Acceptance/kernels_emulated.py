"""Sweeps the kernels of processors that this machine is not, under an emulator, and of the one that it is.

Claims: each table of kernels agrees with the plain twin to rounding (`kernel_sweep.c`; tolerances grow with the length
of the sums); each processor is offered exactly the tables whose instructions it has, and runs into none that it lacks;
with `--ovenbird`, the whole program encodes on x86-64 processors without AVX-512 and without AVX2, with the kernels
that fit them, to the same vectors.

Needs clang (the kernels use its vector types), and for the foreign processors Debian's qemu-user, gcc-aarch64-linux-gnu
and libc6-dev-arm64-cross; `--ovenbird` needs NumPy.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

from server import Verdict

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "CKernels")

TABLES = {
    "x86_64": ["openblas", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"],
    "aarch64": ["neon", "neondot", "neonbf16"],
}
# The emulator's name of a processor, and the tables that it has.
EMULATED = {
    "aarch64": {
        "max": ["neon", "neondot", "neonbf16"],  # BF16 and I8MM among all the rest
        "neoverse-n1": ["neon", "neondot"],
        "cortex-a72": ["neon"],
    },
    "x86_64": {
        "Haswell": ["openblas", "avx2"],
        "SandyBridge": ["openblas"],  # AVX alone
        "Nehalem": ["openblas"],
    },
}
# /proc/cpuinfo's flags.
AVX512 = ["avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"]
NEEDED = {
    "openblas": [],
    "avx2": ["avx2", "fma"],
    "avx512": AVX512,
    "avx512vnni": [*AVX512, "avx512_vnni"],
    "avx512bf16": [*AVX512, "avx512_vnni", "avx512_bf16"],
    "amx": [*AVX512, "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"],
    "neon": [],
    "neondot": ["asimddp"],
    "neonbf16": ["bf16", "i8mm"],
}
# QEMU 7.2 reads 32 bytes where some scalar instructions read four: what ends at a page's end would fault.
SLACK = {"x86_64": 64, "aarch64": 0}

# Each lets one tail end one too early or too late: the sweep must fail.
PLANTS = {
    "sum": (
        "tile_kernels.h",
        "s = 0; s < step_count; s++) {\n        const",
        "s = 1; s < step_count; s++) {\n        const",
    ),
    "activation": ("row_kernels.h", "0), count - i);", "0), count - i - 1);"),
    "norm": ("row_kernels.h", "squares = fma_v(part, part, squares);", "squares += part;"),
    "softmax": ("row_kernels.h", "i < end; i += EK_LANES", "i + EK_LANES < end; i += EK_LANES"),
    "keys": ("attention_kernels.h", "2 * s + 1 < key_count", "2 * s + 1 < key_count - 1"),
    "head": (
        "attention_kernels.h",
        "store_part((float *)to, value, count)",
        "store_part((float *)to, value, count - 1)",
    ),
}


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def planted(name, folder):
    """A copy of the kernels with that mistake in it."""
    sources = os.path.join(folder, "CKernels")
    shutil.copytree(SOURCES, sources)
    if name:
        file, right, wrong = PLANTS[name]
        path = os.path.join(sources, file)
        with open(path) as source:
            text = source.read()
        if right not in text:
            raise SystemExit(f"{file} has no place for the mistake {name!r} any more")
        with open(path, "w") as source:
            source.write(text.replace(right, wrong))
    return sources


def build(sources, machine, folder):
    """The sweep for that machine; without OpenBLAS where it is not this one's."""
    program = os.path.join(folder, f"kernel_sweep.{machine}")
    is_native = machine == os.uname().machine
    kernels = [name for name in sorted(os.listdir(sources)) if name.endswith(".c") and (is_native or name != "blas.c")]
    command = ["clang", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{sources}/include", "-o", program]
    command += ["-DHAS_OPENBLAS"] if is_native else [f"--target={machine}-linux-gnu", "-static"]
    command += [os.path.join(HERE, "kernel_sweep.c"), *(os.path.join(sources, name) for name in kernels)]
    done = run([*command, *(["-lopenblas"] if is_native else []), "-lm"])
    if done.returncode != 0:
        raise SystemExit(f"building for {machine}:\n{done.stderr}")
    return program


def own_tables():
    with open("/proc/cpuinfo") as file:
        lines = file.read().splitlines()
    flags = next(line.split(":")[1].split() for line in lines if line.startswith(("flags", "Features")))
    return [name for name in TABLES[os.uname().machine] if all(flag in flags for flag in NEEDED[name])]


def sweep(command, place, tables, verdict):
    """Answers what the sweep printed."""
    done = run(command)
    trouble = f"{place}: the sweep ends with {done.returncode}:\n{done.stderr[-3000:]}"
    verdict.expect(done.returncode == 0, trouble)
    figures = json.loads(done.stdout) if done.stdout.endswith("}\n") else {}
    found = [name for name, figure in figures.items() if figure]
    verdict.expect(sorted(found) == sorted(tables), f"{place}: {found} instead of {tables}")
    return {name: figure for name, figure in figures.items() if figure}


def start_program(ovenbird, folder, verdict):
    """The whole program on emulated processors; answers the kernels and precision that it chose."""
    # Imported here: it needs NumPy, and nothing else here does.
    import tiny_model

    model = tiny_model.write(os.path.join(folder, "model"))
    texts, output = (os.path.join(folder, name) for name in ("texts.ndjson", "vectors.f32"))
    with open(texts, "w") as file:
        for count in (1, 2, 5, 9):
            file.write(json.dumps({"text": "the quick brown fox " * count}) + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_")}

    def output_of(place, command):
        done = run([*place[1], ovenbird, *command], env=environment)
        trouble = "".join(line for line in done.stderr.splitlines(True) if "TCG doesn't support" not in line)
        verdict.expect(done.returncode == 0, f"{place[0]}: {command[0]} ends with {done.returncode}: {trouble[-2000:]}")
        return done.stdout if done.returncode == 0 else None

    places = [("native", []), *((name, ["qemu-x86_64", "-cpu", name]) for name in EMULATED["x86_64"])]
    vectors, tokens, chosen = {}, {}, {}
    for place in places:
        tokens[place[0]] = output_of(place, ["tokenize", "--model", model, "--input", texts])
        information = output_of(place, ["model", "info", model, "--json"])
        options = ["--model", model, "--input", texts, "--output", output, "--layout", "packed", "--json"]
        figures = output_of(place, ["bench", "--precision", "auto", *options])
        if not (tokens[place[0]] and information and figures):
            continue
        with open(output, "rb") as file:
            raw = file.read()
        vectors[place[0]] = struct.unpack(f"<{len(raw) // 4}f", raw)
        information, figures = (json.loads(text.splitlines()[-1]) for text in (information, figures))
        chosen[place[0]] = {"kernels": information["instruction_set"], "precision": figures["precision"]}
    for name, tables in EMULATED["x86_64"].items():
        if name not in vectors or "native" not in vectors:
            continue
        verdict.expect(tokens[name] == tokens["native"], f"{name}: the same tokens as here")
        verdict.expect(chosen[name]["kernels"] == tables[-1], f"{name}: runs on {tables[-1]}: {chosen[name]}")
        # Unit vectors, here perhaps computed in bfloat16.
        apart = max(abs(a - b) for a, b in zip(vectors["native"], vectors[name], strict=True))
        verdict.expect(apart < 0.02, f"{name}: a vector's value is {apart} away from this machine's")
        chosen[name]["apart"] = round(apart, 6)
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--plant",
        choices=[*PLANTS],
        help="put this mistake into a copy of the kernels: must fail, here and on the greatest Arm",
    )
    parser.add_argument("--ovenbird", metavar="PATH", help="the binary, to start under the emulator, too")
    arguments = parser.parse_args()

    verdict = Verdict("kernels_emulated")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = planted(arguments.plant, folder)
        own = os.uname().machine
        programs = {machine: build(sources, machine, folder) for machine in {own, "aarch64"}}
        figures["native"] = sweep([programs[own]], "native", own_tables(), verdict)
        for machine in sorted(programs):
            for processor, tables in EMULATED[machine].items():
                if arguments.plant and processor != "max":
                    continue
                command = [f"qemu-{machine}", "-cpu", processor, programs[machine], str(SLACK[machine])]
                if machine != own:
                    tables = [name for name in tables if name != "openblas"]
                figures[processor] = sweep(command, processor, tables, verdict)
        if arguments.ovenbird:
            figures["whole_program"] = start_program(os.path.abspath(arguments.ovenbird), folder, verdict)
    return verdict.finish(plant=arguments.plant, **figures)


if __name__ == "__main__":
    sys.exit(main())
