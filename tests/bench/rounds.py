"""What the rows of the benchmark share: programs of works, rounds of two sides in turn, the table."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Program:
    """A program of works (work.h): make one, then run it once a round."""

    def __init__(self, *command, environment=None):
        self.path = " ".join(command)
        ours = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**ours, **(environment or {})})

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
        return Program(str(self.build / "release" / name), environment=environment)

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
    answer = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *map(str, command)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    seconds, peak = answer.split()
    return float(seconds), int(peak)
