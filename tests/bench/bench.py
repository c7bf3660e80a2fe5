#!/usr/bin/env python3
"""What kappascope costs beside its peers: `make bench`, or `make bench ROWS=P1,P5`.

Every row runs the two sides in turn in one go, same threads and inputs, after comparing what they
give; its figure is the median of the rounds' ratios, with their quartiles. Prints a table and
writes build/bench.json. Times of one machine say little, so only ratios are told. Exits with 1 when
outputs differ, never because of a time.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Program:
    """A program of works (work.h): make one, then run it once a round."""

    def __init__(self, path, environment=None):
        self.path = path
        environment = {**os.environ, **(environment or {})}
        environment.pop("LD_LIBRARY_PATH", None)
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)

    def ask(self, command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.path} ended with {self.process.wait()}")
        answer = json.loads(answer)
        if "error" in answer:
            raise RuntimeError(f"{self.path}: {answer['error']}")
        return answer

    def make(self, work, **arguments):
        self.ask({"make": work, **{k: str(v) if isinstance(v, pathlib.Path) else v
                                   for k, v in arguments.items()}})
        return self

    def run(self, **arguments):
        return self.ask({"run": {k: str(v) if isinstance(v, pathlib.Path) else v
                                 for k, v in arguments.items()}})

    def seconds(self, **arguments):
        return self.run(**arguments)["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def quartiles(values):
    values = sorted(values)

    def at(q):
        position = q * (len(values) - 1)
        low = math.floor(position)
        high = min(low + 1, len(values) - 1)
        return values[low] + (values[high] - values[low]) * (position - low)
    return at(0.25), at(0.5), at(0.75)


class Bench:
    """What rows share: programs, models in a folder of their own, and the table."""

    def __init__(self, build, threads, rounds):
        self.build, self.threads, self.rounds = build, threads, rounds
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=build))
        self.rows, self.failed = {}, False

    def program(self, name="kappascope_bench", environment=None):
        return Program(str(self.build / "release" / name), environment)

    def model(self, name, **words):
        """A synthetic model; made once."""
        folder = self.folder / name
        if not folder.exists():
            command = [self.build / "release/kappascope_make_model", folder]
            for word, value in words.items():
                command += [f"--{word.replace('_', '-')}"] + ([] if value is True else [str(value)])
            subprocess.run(command, check=True)
        return folder

    def interleave(self, *sides):
        """Seconds of each side, round by round, the order turned about each time; one round warms
        up. A side is called with the round's number."""
        times = [[] for _ in sides]
        for number in range(self.rounds + 1):
            order = range(len(sides)) if number % 2 else reversed(range(len(sides)))
            for i in order:
                seconds = sides[i](number)
                if number:
                    times[i].append(seconds)
        return times

    def add(self, row, ratios, goal, peer, above=True, **more):
        """A row: `goal` is met at or above it, or at or below it."""
        low, middle, high = quartiles(ratios)
        holds = None if goal is None else (middle >= goal if above else middle <= goal)
        self.put(row, {"ratio": middle, "quartiles": [low, high], "rounds": len(ratios),
                       "peer": peer, "goal": goal, "at_least": above, "holds": holds, **more})

    def put(self, row, result):
        self.rows[row] = result
        ratio, goal = result.get("ratio"), result.get("goal")
        sign = "≥" if result.get("at_least", True) else "≤"
        text = "" if ratio is None else f"{ratio:8.3g}"
        spread = "" if "quartiles" not in result else "{:.3g}–{:.3g}".format(*result["quartiles"])
        verdict = {True: "holds", False: "MISSED", None: ""}[result.get("holds")]
        print(f"{row:22} {text:>8}  {spread:15} {sign + ' ' + format(goal, 'g') if goal else '':8}"
              f" {verdict or result.get('note', ''):8} {result['peer']}", flush=True)

    def absent(self, row, goal, above=True):
        self.put(row, {"ratio": None, "peer": "peer absent: KAPPASCOPE_REFERENCE is not given",
                       "goal": goal, "at_least": above, "holds": None, "note": "not run"})

    def differ(self, row, what):
        self.failed = True
        self.put(row, {"ratio": None, "peer": what, "goal": None, "holds": False,
                       "note": "DIFFERS"})

    def agree(self, row, ours, theirs, tolerance=1e-4):
        """True when two arrays agree as SPEC §8 has it; else the row says so."""
        import numpy as np
        excess = np.abs(ours - theirs) - tolerance * (1 + np.abs(theirs))
        if np.all(excess <= 0):
            return True
        self.differ(row, f"outputs differ by up to {np.nanmax(np.abs(ours - theirs)):.3g}")
        return False

    def layer_model(self):
        return self.model("layer", hidden=512, layers=1, heads=4, kv_heads=4, experts=64, slots=2,
                          vocab=256, sequence=2048, moe_start=0)

    def deep_model(self, layers=8, experts=64):
        return self.model(f"deep{layers}-{experts}", hidden=512, layers=layers, heads=4, kv_heads=4,
                          experts=experts, slots=2, vocab=2048, sequence=4096, moe_start=0,
                          window="L")


def layer_against_reference(bench, tokens, calls, must):
    """P1: one MoE layer, one thread, other experts each round."""
    import numpy as np
    import torch
    import peers
    torch.set_num_threads(1)
    row = f"P1_{tokens}"
    random = np.random.default_rng(tokens)
    x = random.standard_normal((bench.rounds + 1, calls, tokens, 512), dtype=np.float32)
    path = bench.folder / "input.f32"
    x.tofile(path)
    peer = peers.layer_peer(bench.layer_model())
    ours = bench.program().make("layer", model=bench.layer_model(), tokens=tokens, calls=calls,
                                input=path, threads=1)
    output = bench.folder / "output.f32"
    ours.run(round=0, output=output)
    theirs = peer(torch.from_numpy(x[0, 0])).numpy()
    if bench.agree(row, np.fromfile(output, dtype=np.float32).reshape(theirs.shape), theirs):
        def peer_round(number):
            return peers.timed(lambda: [peer(torch.from_numpy(x[number, i]))
                                        for i in range(calls)])[0] / calls
        mine, other = bench.interleave(lambda number: ours.seconds(round=number), peer_round)
        bench.add(row, [b / a for a, b in zip(mine, other)], must, peer.name)
    ours.close()


def p1(bench):
    for tokens, calls, must in ((2048, 1, 3.2), (256, 2, 2.0), (1, 16, 50)):
        layer_against_reference(bench, tokens, calls, must)


def p2(bench):
    """Whole prefill; the bound is what the FFN's share of the peer's time allows."""
    import torch
    import peers
    torch.set_num_threads(bench.threads)
    if not peers.REFERENCE:
        return bench.absent("P2", 2.5)
    model = peers.load_reference(bench.deep_model())
    ours = bench.program().make("prefill", model=bench.deep_model(), threads=bench.threads)
    spent = [0.0]
    for block in model.transformer.h:
        def whole(*arguments, call=block.mlp.forward, **words):
            seconds, result = peers.timed(lambda: call(*arguments, **words))
            spent[0] += seconds
            return result
        block.mlp.forward = whole
    nll = ours.run(tokens=1024)["nll"]
    theirs = peers.prefill(model, 1024)[1]
    if abs(nll - theirs) > 1e-4 * abs(theirs):
        return bench.differ("P2", f"summed loss {nll}, the reference {theirs}")
    shares = []

    def peer_round(_):
        spent[0] = 0.0
        seconds = peers.prefill(model, 1024)[0]
        shares.append(spent[0] / seconds)
        return seconds
    mine, other = bench.interleave(lambda _: ours.seconds(tokens=1024), peer_round)
    bench.add("P2", [b / a for a, b in zip(mine, other)], 2.5, "the reference implementation",
              ffn_share_of_peer=quartiles(shares)[1])
    # With the layers' gain of P1 at 1024 tokens and the rest as fast as the peer's.
    gain = bench.rows.get("P1_2048", {}).get("ratio") or 3.9
    share = quartiles(shares)[1]
    bound = 1 / (1 - share + share / gain)
    bench.add("P2_of_bound", [b / a / bound for a, b in zip(mine, other)], 0.9,
              f"the bound {bound:.3g} of FFN share {share:.2f}, gain {gain:.3g}")
    ours.close()


def p4(bench):
    """The experts whole against a bare loop of library products; one thread."""
    for rows, goal in ((64, 1.08), (128, 1.08), (16, 1 / 1.3), (8, 1 / 1.3)):
        arguments = {"model": bench.layer_model(), "rows": rows, "threads": 1}
        sides = [bench.program().make(kind, **arguments) for kind in ("experts", "loop", "dense")]
        mine, loop, dense = bench.interleave(*[lambda _, s=s: s.seconds() for s in sides])
        bench.add(f"P4_{rows}", [a / b for a, b in zip(mine, loop)], goal,
                  "a bare loop of library products", above=False,
                  over_dense=quartiles([a / b for a, b in zip(mine, dense)])[1])
        for side in sides:
            side.close()


def p5(bench):
    """Weights read per second by a one-token layer over a plain read by two threads."""
    import numpy as np
    calls = 32
    x = np.random.default_rng(5).standard_normal((bench.rounds + 1, calls, 1, 512),
                                                 dtype=np.float32)
    path = bench.folder / "input.f32"
    x.tofile(path)
    layer = bench.program().make("layer", model=bench.layer_model(), tokens=1, calls=calls,
                                 input=path, threads=2)
    read = bench.program().make("read", model=bench.layer_model(), threads=2)

    def rate(program, **arguments):
        answer = program.run(**arguments)
        return answer["seconds"] / answer.get("weight_bytes", answer.get("bytes"))
    mine, limit = bench.interleave(lambda number: rate(layer, round=number), lambda _: rate(read))
    bench.add("P5", [b / a for a, b in zip(mine, limit)], 0.8, "two threads that only read")
    layer.close()
    read.close()


def same_record(bench, row, trace, hooks):
    """True when hooks kept the numbers of the trace: those of tokens, of kept slots, of experts."""
    import numpy as np
    ours, theirs = np.load(trace), np.load(hooks)
    kept = ours["expert_kept"].astype(bool)
    for name in ours.files:
        for m in range(len(kept)):
            if f"{name}_{m}" not in theirs or name.startswith("effect"):
                continue  # effects are means in the trace, sums with the hooks
            value, other = ours[name][m], theirs[f"{name}_{m}"]
            if value.shape[:2] == kept.shape[1:] and len(other) == kept[m].sum():
                value = value[kept[m]]
            if name.endswith("hist"):
                value, other = value.sum(0) / value.sum(), other.reshape(value.shape).sum(0)
                other = other / other.sum()
            # A value at the border may fall to either side of it.
            tolerance = 2 / 2048 if name.endswith(("fraction", "hist")) else 1e-4
            if not bench.agree(row, value.reshape(-1), other.reshape(-1), tolerance):
                print(f"{name} of layer {m}", file=sys.stderr)
                return False
    return True


def p6(bench):
    """Prefill with a record over prefill without one, trace written and all."""
    import torch
    import peers
    trace = bench.folder / "trace.npz"
    ours = bench.program().make("prefill", model=bench.deep_model(), threads=bench.threads)
    ours.run(tokens=1024, mode="gates", trace=trace)
    size = trace.stat().st_size
    # New pages of the system's file cache can cost more than all else (docs/performance.md): other
    # work stands between the two that want many, so that they find the same.
    modes = ("none", "write", "routing", "gates", "standard")
    times = dict(zip(modes, bench.interleave(*[
        lambda _, mode=mode: ours.seconds(tokens=1024, mode=mode, trace=trace, bytes=size)
        for mode in modes])))
    for mode, goal in (("routing", 1.02), ("standard", 1.12), ("gates", 1.15)):
        bench.add(f"P6_{mode}", [a / b for a, b in zip(times[mode], times["none"])], goal,
                  "the same prefill, nothing recorded", above=False)
    bench.add("P6_gates_less_write",
              [(g - w) / n for n, g, w in zip(times["none"], times["gates"], times["write"])], None,
              f"the same, less a plain write of {size / 1e6:.0f} MB to a new file, "
              f"{quartiles([w / n for n, w in zip(times['none'], times['write'])])[1]:.2f} of the prefill")
    if peers.REFERENCE:
        torch.set_num_threads(bench.threads)
        model = peers.load_reference(bench.deep_model())
        kept = bench.folder / "hooks.npz"
        for mode in ("standard", "gates"):
            peers.prefill(model, 1024, mode, kept)
            ours.run(tokens=1024, mode=mode, trace=trace)
            if not same_record(bench, f"P6_{mode}_hooks", trace, kept):
                continue
            bare, hooked, none, recorded = bench.interleave(
                lambda _: peers.prefill(model, 1024)[0],
                lambda _: peers.prefill(model, 1024, mode, kept)[0],
                lambda _: ours.seconds(tokens=1024),
                lambda _: ours.seconds(tokens=1024, mode=mode, trace=trace))
            bench.add(f"P6_{mode}_hooks", [(d - c) / (b - a) for a, b, c, d
                                           in zip(bare, hooked, none, recorded)], 1 / 3,
                      "seconds that hooks for the same numbers add to the reference", above=False)
    else:
        for mode in ("standard", "gates"):
            bench.absent(f"P6_{mode}_hooks", 1 / 3, above=False)
    ours.close()


def p7(bench):
    """Loading from a warm cache, all bytes touched."""
    import torch
    import peers
    torch.set_num_threads(bench.threads)
    folder = bench.layer_model()
    ours = bench.program().make("load", model=folder, threads=bench.threads)
    size = (folder / "model_000100.pt").stat().st_size
    read = bench.program().make("read", model=folder, threads=2, bytes=size,
                                fresh=True)
    sides = [lambda _: ours.seconds(), lambda _: peers.torch_load_sum(folder)[0],
             lambda _: read.seconds()]
    if peers.REFERENCE:
        sides.append(lambda _: peers.timed(peers.load_reference, folder)[0])
    times = bench.interleave(*sides)
    bench.add("P7_torch", [b / a for a, b in zip(times[0], times[1])], 1.0,
              "torch.load(mmap=True, weights_only=True) and a sum over every byte")
    bench.add("P7_read", [b / a for a, b in zip(times[0], times[2])], 0.85,
              "two threads that only read a mapping")
    if peers.REFERENCE:
        bench.add("P7_reference", [b / a for a, b in zip(times[0], times[3])], 4,
                  "the reference's own loader")
    else:
        bench.absent("P7_reference", 4)
    ours.close()
    read.close()


# Started by a process that is small itself: what a forked child owed to its parent's memory counts
# as the child's peak, even after exec.
LAUNCHER = """
import resource, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def process(*command):
    """Seconds and peak resident bytes of a whole process."""
    told = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *map(str, command)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    seconds, peak = told.split()
    return float(seconds), int(peak)


def p8(bench):
    """A whole run of one token, and the directory of a huge checkpoint."""
    kappascope = bench.build / "release/kappascope"
    demo = ROOT / "assets/d8-kappa"
    out = bench.folder / "run"

    def run(_):
        shutil.rmtree(out, ignore_errors=True)
        return process(kappascope, "run", demo, "-p", "a", "--max-tokens", "1", "--figures", "none",
                       "-q", "-o", out, "--threads", bench.threads)[0]
    mine, other = bench.interleave(
        run, lambda _: process(sys.executable, "-c", "import torch")[0])
    bench.add("P8_run", [b / a for a, b in zip(mine, other)], 3, 'python -c "import torch"')
    huge = bench.model("huge", hidden=2048, layers=5, heads=16, kv_heads=16, experts=64, slots=2,
                       vocab=32768, moe_start=0, sparse=True)
    size = (huge / "model_000100.pt").stat().st_size
    seconds, resident = process(kappascope, "info", huge)
    bench.put("P8_info", {
        "ratio": resident / size, "peer": f"peak resident size over a {size / 1e9:.0f} GB file",
        "goal": 0.01, "at_least": False, "holds": resident < 0.01 * size, "seconds": seconds})
    shutil.rmtree(huge)


def p11(bench):
    """Tokenizing 10 MB of prose and code, one thread."""
    import peers
    texts = [(ROOT / f"assets/texts/{name}.txt").read_text(encoding="utf-8")
             for name in ("prose", "code")]
    sources = sorted(ROOT.glob("core/**/*.cpp")) + sorted(ROOT.glob("*.md"))
    texts += [path.read_text(encoding="utf-8") for path in sources]
    text = ""
    while len(text) < 10_000_000:
        text += "\n".join(texts)
    text = text[:10_000_000]
    path = bench.folder / "text.txt"
    path.write_text(text, encoding="utf-8")
    tokenizer = ROOT / "assets/tokenizer/tokenizer.pkl"
    ours = bench.program().make("encode", tokenizer=tokenizer, text=path)
    encode = peers.tiktoken_encoder(tokenizer)
    mine, theirs = ours.run(), encode(text)[1]
    if {k: mine[k] for k in theirs} != theirs:
        return bench.differ("P11", f"{mine} against {theirs}")
    mine, other = bench.interleave(lambda _: ours.seconds(), lambda _: encode(text)[0])
    bench.add("P11", [b / a for a, b in zip(mine, other)], 1.0, "tiktoken")
    ours.close()


def p12(bench):
    """Peak resident size of a run."""
    model = bench.deep_model()
    out = bench.folder / "run"
    ids = bench.folder / "ids.json"
    ids.write_text(json.dumps([(t * 7919 + t // 3) % 2048 for t in range(1024)]))
    shutil.rmtree(out, ignore_errors=True)
    _, resident = process(bench.build / "release/kappascope", "run", model, "--ids", ids,
                          "--figures", "none", "-q", "-o", out, "--threads", bench.threads)
    weights = (model / "model_000100.pt").stat().st_size
    outputs = (out / "trace.npz").stat().st_size
    bench.put("P12", {
        "ratio": (resident - 250e6) / (weights + outputs), "goal": 1.2, "at_least": False,
        "holds": resident <= 1.2 * (weights + outputs) + 250e6,
        "peer": "weights as float32 and outputs, beside 250 MB"})
    import peers
    if not peers.REFERENCE:
        return bench.absent("P12_reference", 1.7)
    code = (f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); import peers;"
            f"peers.prefill(peers.load_reference({str(model)!r}), 1024)")
    _, theirs = process(sys.executable, "-c", code)
    bench.put("P12_reference", {"ratio": theirs / resident, "goal": 1.7, "holds":
                                theirs >= 1.7 * resident, "peer": "the reference implementation"})


def p13(bench):
    """A map of a million cells to SVG, PDF and PNG."""
    import peers
    ours = bench.program().make("figure")
    draw = peers.matplotlib_figure()
    mine, other = bench.interleave(lambda _: ours.seconds(), lambda _: draw()[0])
    bench.add("P13", [b / a for a, b in zip(mine, other)], 3, "matplotlib")
    ours.close()


def p15(bench):
    """Many short texts beside other work that keeps every core busy, over the same run alone."""
    import signal
    texts = []
    for number in range(20):
        texts += ["-f", bench.folder / f"text-{number}.txt"]
        texts[-1].write_text(f"The tide number {number} came in and went out again.\n")
    out = bench.folder / "busy"

    def run(_):
        shutil.rmtree(out, ignore_errors=True)
        return process(bench.build / "release/kappascope", "run", ROOT / "assets/d8-kappa", *texts,
                       "--figures", "none", "-q", "-o", out)[0]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
              for _ in os.sched_getaffinity(0)]
    try:
        def beside(number, wanted):
            for other in others:
                other.send_signal(signal.SIGCONT if wanted else signal.SIGSTOP)
            return run(number)
        busy, alone = bench.interleave(lambda number: beside(number, True),
                                       lambda number: beside(number, False))
    finally:
        for other in others:
            other.kill()
            other.wait()
    bench.add("P15_busy", [b / a for a, b in zip(alone, busy)], 2.5,
              "the same run on an idle machine", above=False)


def frames(bench):
    """W1: a frame that zooms over 25 million cells against ImPlot's heat map of one million; W2: the
    same frame against one over 250 thousand."""
    cells = {"large": 25e6, "small": 250e3}
    sides = {name: bench.program("kappascope_window_bench").make("heat_map", cells=count)
             for name, count in cells.items()}
    sides["implot"] = bench.program("kappascope_window_bench").make("implot", cells=1e6)
    times = dict(zip(sides, bench.interleave(*[lambda _, s=s: s.seconds() for s in sides.values()])))
    for side in sides.values():
        side.close()
    milliseconds = 1000 * quartiles(times["large"])[1]
    bench.add("W1_frame", [b / a for a, b in zip(times["large"], times["implot"])], 30,
              f"ImPlot::PlotHeatmap of 1 M cells; ours took {milliseconds:.2f} ms")
    bench.add("W2_frame_growth", [a / b for a, b in zip(times["large"], times["small"])], 1.15,
              "ours over 250 thousand cells", above=False)


def display():
    """A display of its own for programs that open windows."""
    ready, told = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(told), "-screen", "0", "1600x1000x24"],
                              pass_fds=[told], stderr=subprocess.DEVNULL)
    os.close(told)
    with os.fdopen(ready) as answer:
        return server, f":{answer.readline().strip()}"


PICTURE = """
import sys, numpy as np, matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plot
if len(sys.argv) > 2:
    plot.imshow(np.load(sys.argv[2])["router_top1_prob"], aspect="auto", interpolation="none")
plot.savefig(sys.argv[1])
"""


def pictures(bench):
    """W3: start to the first frame of the window; W4: to the first figure of a trace of a gigabyte.
    Beside matplotlib, imports and all, that writes an empty picture and one of such a trace."""
    if not shutil.which("Xvfb"):
        return bench.put("W3_start", {"ratio": None, "peer": "no Xvfb", "goal": None, "holds": None})
    server, name = display()
    environment = {"DISPLAY": name, "LIBGL_ALWAYS_SOFTWARE": "1"}
    trace = bench.model("large", hidden=32, layers=48, moe_start=0, experts=128, slots=8,
                        granularity="per-expert", dtype="bfloat16", trace=20480) / "trace"
    picture = str(bench.folder / "window.png")

    def start(arguments, contexts):
        program = bench.program("kappascope_window_bench", environment)
        answer = program.make("start", **arguments).run()
        program.close()
        contexts.append(answer["context"])
        return answer["seconds"]

    def matplotlib(arguments):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", PICTURE, picture, *arguments], check=True)
        return time.perf_counter() - begin
    for row, document, peer in (("W3_start", {}, []),
                                ("W4_trace", {"trace": trace}, [str(trace / "trace.npz")])):
        contexts = []
        mine, other = bench.interleave(lambda _, d=document: start(d, contexts),
                                       lambda _, p=peer: matplotlib(p))
        ours, driver = (1000 * quartiles(times)[1] for times in (mine, contexts))
        bench.add(row, [b / a for a, b in zip(mine, other)], None,
                  f"matplotlib; ours took {ours:.0f} ms, OpenGL was ready after {driver:.0f}")
    server.terminate()
    server.wait()


def slope(sizes, seconds):
    x, y = [math.log(s) for s in sizes], [math.log(s) for s in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return (sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
            / sum((a - mean_x) ** 2 for a in x))


def growth(bench):
    """Slope of log time over log size: tokens through one MoE layer, layers through a prefill."""
    import numpy as np

    def put(row, sizes, times, low, high):
        value = slope(sizes, [quartiles(t)[1] for t in times])
        bench.put(row, {"ratio": value, "goal": high, "at_least": False, "low": low,
                        "holds": low <= value <= high, "peer": f"slope over {sizes}, at least {low}"})

    sizes = [1024, 2048, 4096, 8192, 16384]
    path = bench.folder / "input.f32"
    x = np.random.default_rng(6).standard_normal((1, 1, sizes[-1], 512), dtype=np.float32)
    x.tofile(path)
    sides = [bench.program().make("layer", model=bench.layer_model(), tokens=size, input=path,
                                  threads=bench.threads) for size in sizes]
    times = bench.interleave(*[lambda _, s=s: s.seconds(round=0) for s in sides])
    put("growth_tokens", sizes, times, 0.95, 1.08)
    for side in sides:
        side.close()
    sizes = [4, 6, 8, 12, 16]  # where embedding and logits, of which there is one, hardly count
    sides = [bench.program().make("prefill", model=bench.deep_model(size, experts=16),
                                  threads=bench.threads) for size in sizes]
    times = bench.interleave(*[lambda _, s=s: s.seconds(tokens=256) for s in sides])
    put("growth_layers", sizes, times, 0.97, 1.05)
    for side in sides:
        side.close()


def gpu(row):
    """The rows of the GPU are run by `make gpu-check`."""
    return lambda bench: bench.put(row, {"ratio": None, "peer": "no GPU", "goal": None,
                                         "holds": None, "note": "not run"})


ROWS = {"P1": p1, "P2": p2, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P8": p8, "P11": p11,
        "P12": p12, "P13": p13, "P15": p15, "W1": frames, "W3": pictures, "growth": growth,
        **{row: gpu(row) for row in ("G1", "G2", "G3", "G4")}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rows", default="", help="P1,P5: these only")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    rows = [row for row in options.rows.split(",") if row] or list(ROWS)
    unknown = [row for row in rows if row not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    bench = Bench(options.build.resolve(), options.threads, options.rounds)
    print(f"{'row':22} {'ratio':>8}  {'quartiles':15} {'goal':8} {'':8} against")
    try:
        for row in rows:
            ROWS[row](bench)
    finally:
        shutil.rmtree(bench.folder)
        path = options.build / "bench.json"
        path.write_text(json.dumps(bench.rows, indent=1, ensure_ascii=False) + "\n",
                        encoding="utf-8")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
