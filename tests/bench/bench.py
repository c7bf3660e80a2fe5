#!/usr/bin/env python3
"""What kappascope costs beside its peers: `make bench`, or `make bench ROWS=P1,P5`.

Every row runs the two sides in turn in one go, same threads and inputs, after comparing what they
give; its figure is the median of the rounds' ratios, with their quartiles. Prints a table and
writes build/bench.json. Times of one machine say little, so only ratios are reported. Exits with 1 when
outputs differ, never because of a time.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys

from family_rows import g5, p3, p14, p16
from layer_rows import growth, p1, p2, p4, p5, p6, p10
from process_rows import p7, p8, p11, p12, p13, p15
from rounds import Bench
from training_rows import training
from window_rows import frames, pictures


def gpu(row):
    """The rows of the GPU are run by `make gpu-check`."""
    return lambda bench: bench.put(row, {"ratio": None, "peer": "no GPU", "goal": None,
                                         "holds": None, "note": "not run"})


ROWS = {"P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P8": p8, "P10": p10, "P11": p11,
        "P12": p12, "P13": p13, "P14": p14, "P15": p15, "P16": p16, "T1": training, "W1": frames, "W3": pictures, "growth": growth,
        **{row: gpu(row) for row in ("G1", "G2", "G3", "G4")}, "G5": g5}


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
