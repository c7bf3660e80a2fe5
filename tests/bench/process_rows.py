"""Rows of loading, tokenizing and whole processes: their time, memory and threads."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

from rounds import ROOT, process


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
