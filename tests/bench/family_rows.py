"""Rows of Hugging Face families: beside the transformers package, and larger than memory."""

import os
import shutil
import subprocess
import sys

from rounds import ROOT, Program, quartiles


def transformers_peer():
    """The transformers package, 5 or newer, whose experts have a choice of implementation, in a
    process of its own: in this Python, or in the one that KAPPASCOPE_PEER_PYTHON names. None: it is
    in neither."""
    python = os.environ.get("KAPPASCOPE_PEER_PYTHON", sys.executable)
    needed = "import transformers; transformers.PreTrainedModel.set_experts_implementation"
    found = subprocess.run([python, "-c", needed], stderr=subprocess.DEVNULL)
    if found.returncode:
        return None
    return Program(python, "-B", str(ROOT / "tests/bench/transformers_peer.py"),
                   environment={"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")})


def p3(bench):
    """Whole float32 prefill of random Hugging Face models against the transformers package."""
    for family in ("qwen3_moe", "olmoe", "deepseek_v3", "qwen3_next"):
        eager = 1.5 if family in ("qwen3_moe", "olmoe") else 1.15
        goals = (("eager", eager), ("grouped_mm", 1.15))
        peer = transformers_peer()
        if peer is None:
            for kind, goal in goals:
                bench.put(f"P3_{family}_{kind}", {
                    "ratio": None, "peer": "peer absent: transformers 5, or KAPPASCOPE_PEER_PYTHON",
                    "goal": goal, "holds": None, "note": "not run"})
            continue
        folder = bench.folder / family
        peer.make(family, folder=folder, threads=bench.threads)
        ours = bench.program().make("prefill", model=folder, threads=bench.threads)
        nll = ours.run(tokens=512)["nll"]
        times = bench.interleave(lambda _: ours.seconds(tokens=512),
                                 *[lambda _, kind=kind: peer.seconds(tokens=512, experts=kind)
                                   for kind, _ in goals])
        for (kind, goal), other in zip(goals, times[1:]):
            theirs = peer.run(tokens=512, experts=kind)["nll"]
            if abs(nll - theirs) > 1e-4 * abs(theirs):
                bench.differ(f"P3_{family}_{kind}", f"summed loss {nll}, transformers {theirs}")
                continue
            bench.add(f"P3_{family}_{kind}", [b / a for a, b in zip(times[0], other)], goal,
                      f"transformers, {kind}")
        ours.close()
        peer.close()
        shutil.rmtree(folder)


def p16(bench):
    """Single tokens after a prompt of a random Hugging Face model: against the transformers package, and against
    reading the weights that a token needs."""
    words = {"tokens": 64, "steps": 16}
    for family in ("qwen3_moe", "olmoe"):
        peer = transformers_peer()
        if peer is None:
            bench.put(f"P16_{family}", {"ratio": None, "peer": "peer absent: transformers 5, or KAPPASCOPE_PEER_PYTHON",
                                        "goal": 2, "holds": None, "note": "not run"})
            continue
        folder = bench.folder / family
        peer.make(family, folder=folder, threads=bench.threads)
        ours = bench.program().make("decode", model=folder, threads=bench.threads)
        found, theirs = ours.run(**words), peer.run(**words, experts="eager")
        read = bench.program().make("read", model=folder, threads=bench.threads, bytes=found["bytes"])
        times = bench.interleave(lambda _: ours.seconds(**words), lambda _: peer.seconds(**words, experts="eager"),
                                 lambda _: read.seconds())
        if abs(found["nll"] - theirs["nll"]) > 1e-4 * abs(theirs["nll"]):
            bench.differ(f"P16_{family}", f"summed loss {found['nll']}, transformers {theirs['nll']}")
        else:
            bench.add(f"P16_{family}", [b / a for a, b in zip(times[0], times[1])], 2, "one token, transformers, eager")
            bench.add(f"P16_{family}_read", [b / a for a, b in zip(times[0], times[2])], 0.75,
                      f"a read of the {found['bytes'] / 1e6:.0f} MB of weights that a token needs")
        for side in (ours, peer, read):
            side.close()
        shutil.rmtree(folder)


def has_gpu(bench):
    """One that this build and the peer can use."""
    if not (bench.build / "release/libkappascope_cuda.so").exists():
        return False
    python = os.environ.get("KAPPASCOPE_PEER_PYTHON", sys.executable)
    return not subprocess.run([python, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"],
                              stderr=subprocess.DEVNULL).returncode


def g5(bench):
    """Whole models on a GPU, of layers as people have them: a prefill, and single tokens after it."""
    peer = transformers_peer() if has_gpu(bench) else None
    if peer is None:
        bench.put("G5", {"ratio": None, "peer": "no GPU, or peer absent", "goal": None, "holds": None, "note": "not run"})
        return
    for family, dtype, tolerance in (("olmoe", "float32", 1e-4), ("olmoe", "bfloat16", 1e-2),
                                     ("qwen3_moe", "bfloat16", 1e-2)):
        where = {"threads": bench.threads, "device": "cuda", "dtype": dtype}
        folder = bench.folder / f"{family}-{dtype}"
        peer.make(family, folder=folder, **where)
        ours = bench.program().make("decode", model=folder, **where)
        prefill = bench.program().make("prefill", model=folder, **where)
        decoded, filled = {"tokens": 1024, "steps": 32}, {"tokens": 4096}
        moved = ours.run(**decoded)["bytes"] // (2 if dtype == "bfloat16" else 1)
        pairs = {"prefill": (lambda: prefill.run(**filled), lambda: peer.run(**filled, experts="grouped_mm")),
                 "token": (lambda: ours.run(**decoded), lambda: peer.run(**decoded, experts="grouped_mm"))}
        for what, (mine, theirs) in pairs.items():
            row, losses = f"G5_{family}_{dtype}_{what}", (mine()["nll"], theirs()["nll"])
            if abs(losses[0] - losses[1]) > tolerance * abs(losses[1]):
                bench.differ(row, f"summed loss {losses[0]}, transformers {losses[1]}")
                continue
            times = bench.interleave(lambda _: mine()["seconds"], lambda _: theirs()["seconds"],
                                     lambda _: peer.seconds(moved=moved))
            bench.add(row, [b / a for a, b in zip(times[0], times[1])], None,
                      f"transformers, grouped_mm; ours {1e3 * quartiles(times[0])[1]:.2f} ms")
            if what == "token":
                bench.add(f"{row}_read", [b / a for a, b in zip(times[0], times[2])], None,
                          f"a copy that moves the {moved / 1e6:.0f} MB of weights that a token needs")
        for side in (ours, prefill):
            side.close()
        shutil.rmtree(folder)
    peer.close()


def p14(bench):
    """A prefill whose layers come from the file, which is in the system's cache: against the longer
    of a plain read of it and the same prefill with resident weights."""
    folder = bench.folder / "hub"
    words = {"hidden": 1024, "layers": 8, "heads": 8, "kv-heads": 4, "gates": 512}
    subprocess.run([bench.build / "release/kappascope_make_model", "hub", folder,
                    *[str(word) for name, value in words.items() for word in (f"--{name}", value)]],
                   check=True)
    size = (folder / "model.safetensors").stat().st_size
    read = bench.program().make("read", model=folder, threads=2, bytes=size)
    resident = bench.program().make("prefill", model=folder, threads=bench.threads)
    streamed = bench.program().make("prefill", model=folder, threads=bench.threads,
                                    memory=int(0.6 * size))
    nll = [side.run(tokens=256)["nll"] for side in (resident, streamed)]
    if nll[0] != nll[1]:
        return bench.differ("P14", f"summed loss {nll[1]} streamed, {nll[0]} resident")
    times = bench.interleave(lambda _: read.seconds(), lambda _: resident.seconds(tokens=256),
                             lambda _: streamed.seconds(tokens=256))
    bench.add("P14", [max(a, b) / c for a, b, c in zip(*times)], 0.85,
              f"the longer of a plain read of {size / 1e9:.1f} GB by two threads and the products; the read "
              f"alone {quartiles([a / c for a, c in zip(times[0], times[2])])[1]:.2f}")
    for side in (read, resident, streamed):
        side.close()
    shutil.rmtree(folder)
