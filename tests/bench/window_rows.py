"""Rows of the window: a frame of many cells, the first frame, a large trace."""

import os
import shutil
import subprocess
import sys
import time

from rounds import quartiles


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
