#!/usr/bin/env python3
"""Do the tests see? Faults are put into a copy of the sources, and the tests are run on each.

    mutants.py [--number 200] [--seed 1] [--again REGEX] [--presets asan,release] [--as-built] [--jobs N]

A seed draws the faults (sites.py) over core, kernels and app, by their lines, each kind as often as the
others. One build of the copy in build/mutants holds all of them; a variable of the environment says which
acts. Each test is run once without fault and notes which faults it reaches, and then, fault by fault,
those that reach it are run, the cheapest first, until one fails, crashes or takes far too long, and does
so again after it has passed without the fault. Everything done is kept in build/mutants, so an
interrupted run goes on where it was; build/mutants/result.json and result.txt say what saw each fault. With --again, the tests whose names match are built and
recorded anew and run on the faults that nothing has seen yet.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import threading

import sites
import suites

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/structure"))
import sources as project  # noqa: E402

FOLDERS = ("core", "kernels", "app")
MOST = 1 << 14  # kMostFaults of mutant.h
# Of each preset what is built and tested: what the sanitized tests and the release tests of `make
# test` use, without benchmarks and repeated runs of the same sources.
TARGETS = {
    "asan": ["kappascope_unit", "kappascope_refused"],
    "release": ["kappascope", "kappascope_engine_test", "kappascope_forward_test",
                "kappascope_dump_forward", "kappascope_check_decode", "kappascope_make_model",
                "kappascope_failing_calls", "kappascope_failing_new", "kappascope_gui_test",
                "kappascope_panels_test", "kappascope_jobs_test", "kappascope_twins_emulated",
                "kappascope_dump_emulated"],
}
# Tests of the sources, of the build and of packages are none of what the program does.
LEFT_OUT = re.compile(r"structure\.|mutants\.|kernels\.(registers|versions)|cli\.(install|hardening)|twins\.(races|planted)")
STEPS = (1, 4, 15, 60, float("inf"))  # seconds: the faults that quicker tests saw are not run again
EXTRA = 1.15  # drawn for each that is wanted, as some do not compile


def load(path, otherwise):
    return json.loads(path.read_text()) if path.exists() else otherwise


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1))
    new.replace(path)


def product_sources():
    return {name: text.encode() for name, text in project.sources(FOLDERS).items()}


def draw(files, number, seed):
    """`number` sites: of each folder as many as it has lines, of each kind as many as of another."""
    chance = random.Random(seed)
    found = {name: sites.sites(name, text, chance) for name, text in sorted(files.items())}
    lines = {folder: sum(text.count(b"\n") for name, text in files.items()
                         if name.startswith(folder + "/")) for folder in FOLDERS}
    drawn = []
    for folder in FOLDERS:
        by_kind = {kind: [site for name in found if name.startswith(folder + "/")
                          for site in found[name] if site.kind == kind] for kind in sites.KINDS}
        wanted = round(number * lines[folder] / sum(lines.values()))
        for index in range(wanted):
            pool = by_kind[sites.KINDS[index % len(sites.KINDS)]]
            while pool:
                site = pool.pop(chance.randrange(len(pool)))
                if not sites.overlaps(site, drawn):
                    drawn.append(site)
                    break
    return drawn


class Work:
    """What is kept in build/mutants."""

    def __init__(self, folder, number, seed, jobs):
        self.jobs, self.lock = jobs, threading.Lock()
        self.folder, self.tree = folder, folder / "tree"
        self.state = load(folder / "sites.json", None)
        if self.state is None:
            self.draw(number, seed)
        elif self.state["asked"] != [number, seed]:
            sys.exit(f"{folder} holds faults of another number or seed: remove it to draw anew")
        drawn = folder / "drawn"  # the sources of then: those of now may have moved on
        self.sources = {str(path.relative_to(drawn)): path.read_bytes()
                        for path in drawn.rglob("*") if path.is_file()}
        if self.sources != product_sources():
            print(f"the sources have changed since the faults were drawn; remove {folder} to draw anew")
        self.sites = [sites.Site(**s) for s in self.state["sites"]]
        self.dropped = set(self.state["dropped"])
        self.reached = load(folder / "reached.json", {})  # test -> {seconds, faults} or {left_out}
        self.seen = {int(n): by for n, by in load(folder / "seen.json", {}).items()}
        self.tried = {int(n): done for n, done in load(folder / "tried.json", {}).items()}

    def draw(self, number, seed):
        files = product_sources()
        for name, text in files.items():
            target = self.folder / "drawn" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
        found = draw(files, round(number * EXTRA), seed)
        self.state = {"asked": [number, seed], "sites": [dataclasses.asdict(s) for s in found], "dropped": []}
        save(self.folder / "sites.json", self.state)

    def numbers(self):
        return [n for n in range(len(self.sites)) if n not in self.dropped]

    def drop(self, numbers):
        self.dropped |= set(numbers)
        self.state["dropped"] = sorted(self.dropped)
        save(self.folder / "sites.json", self.state)

    def write_tree(self):
        """The copy: the drawn sources with their faults, all other files as they are now. What is as it
        was stays untouched."""
        by_path = {}
        for number in self.numbers():
            by_path.setdefault(self.sites[number].path, []).append((number, self.sites[number]))
        now = {name: ROOT / name for name in project.tracked_files() if name.split("/")[0] not in FOLDERS}
        for name in (*now, *self.sources):
            text = self.sources[name] if name in self.sources else now[name].read_bytes()
            if name in by_path:
                header = ROOT / "tests/mutants/mutant.h"
                text = sites.with_faults(text, by_path[name], header)
            target = self.tree / name
            if not target.exists() or target.read_bytes() != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text)
                target.chmod(now[name].stat().st_mode if name in now else 0o644)
        (self.tree / "build").mkdir(exist_ok=True)
        deps = self.tree / "build/deps"
        if not deps.exists():
            deps.symlink_to(ROOT / "build/deps")

    def faults_in(self, log):
        """Numbers of the faults in whose lines the compiler complains; when it complains elsewhere, those
        of the headers that it names: a constant made of one of their defaults can no longer be one."""
        places = set(re.findall(r"(?:^|[ (])" + re.escape(str(self.tree)) + r"/([^:\s]+):(\d+)[:,]", log, re.M))
        wrong = [n for n in self.numbers() for path, line in places if self.sites[n].path == path and
                 self.sites[n].line <= int(line) <= self.sites[n].last_line]
        named = {path for path, _ in places if path.endswith(".h")}
        return wrong or [n for n in self.numbers() if self.sites[n].path in named]

    def configure(self, preset):
        torch = (ROOT / "build/deps/torch-root").read_text().strip()
        options = [f"-DKAPPASCOPE_TORCH_ROOT={torch}", "-DKAPPASCOPE_CUDA=OFF",
                   "-DCMAKE_CXX_FLAGS=-w" + (" -ferror-limit=0" if preset == "asan" else "")]
        if preset == "release":
            options.append("-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG")
        done = subprocess.run(["cmake", "--preset", preset, "--log-level=NOTICE", *options],
                              cwd=self.tree, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)

    def build(self, preset):
        """Builds the copy; faults that do not compile are taken out."""
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "2")
        while True:
            self.write_tree()
            self.configure(preset)
            done = subprocess.run(["cmake", "--build", "--preset", preset, "--target", *TARGETS[preset],
                                   "-j", jobs, "--", "-k", "0"], cwd=self.tree, capture_output=True, text=True)
            (self.folder / f"build-{preset}.log").write_text(done.stdout + done.stderr)
            if done.returncode == 0:
                return
            wrong = self.faults_in(done.stdout)
            if not wrong:
                sys.exit(f"the copy does not build: {self.folder}/build-{preset}.log")
            print(f"{preset}: {len(set(wrong))} faults do not compile", flush=True)
            self.drop(wrong)

    def scratch(self):
        """A folder of this thread."""
        return self.folder / "scratch" / threading.current_thread().name

    def together(self, work, items):
        """work(item) of each, `jobs` at a time; the first that raises ends it."""
        with concurrent.futures.ThreadPoolExecutor(self.jobs, "job") as pool:
            waiting = [pool.submit(work, item) for item in items]
            try:
                for done in concurrent.futures.as_completed(waiting):
                    done.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def record(self, key, test):
        """Runs a test without fault; one that does not pass says nothing."""
        scratch = self.scratch()
        scratch.mkdir(parents=True, exist_ok=True)
        reached = scratch / "reached.bin"
        reached.write_bytes(bytes(MOST))
        # Libraries that are opened in the sandbox write there, too.
        extra = {"KAPPASCOPE_MUTANTS_REACHED": str(reached), "KAPPASCOPE_SANDBOX": "off"}
        verdict, seconds = suites.run(test, scratch, extra, 900)
        if verdict == "failed":  # it may be the recording that it minds
            verdict, seconds = suites.run(test, scratch, {}, 900)
        marks = reached.read_bytes()
        with self.lock:
            self.reached[key] = {"left_out": verdict} if verdict != "passed" else {
                "seconds": round(seconds, 2), "faults": [n for n in self.numbers() if marks[n]]}
            save(self.folder / "reached.json", self.reached)

    def sees(self, number, test, seconds):
        """How a test fails by a fault, "failed" or "late"; None where it passes. One that is not steady
        sees nothing: it has to fail, to pass without the fault, and to fail once more."""
        fault = {"KAPPASCOPE_MUTANT": str(number)}
        for extra in (fault, {}, fault):
            verdict, _ = suites.run(test, self.scratch(), extra, seconds)
            if (verdict in ("failed", "late")) != (extra is fault):
                return None
        return verdict

    def judge(self, number, tests):
        """Runs the tests that reach a fault and have not yet been run on it."""
        with self.lock:
            tried = self.tried.setdefault(number, [])
        keys = [key for key in tests if key not in tried and number in self.reached[key].get("faults", [])]
        for key in sorted(keys, key=lambda key: self.reached[key]["seconds"]):
            how = self.sees(number, tests[key], 20 + 6 * self.reached[key]["seconds"])
            with self.lock:
                tried.append(key)
                if how:
                    self.seen[number] = {"test": key, "how": how}
                    save(self.folder / "seen.json", self.seen)
                save(self.folder / "tried.json", self.tried)
            if how:
                break

    def step(self, tests, cost, longest):
        """Records the tests that are expected to take less, and runs on what is left those that do."""
        new = [key for key in tests if key not in self.reached and cost[key] < longest]
        self.together(lambda key: self.record(key, tests[key]), sorted(new, key=lambda key: -cost[key]))
        chosen = {key: test for key, test in tests.items()
                  if self.reached.get(key, {}).get("seconds", float("inf")) < longest}
        self.together(lambda number: self.judge(number, chosen),
                      [number for number in self.numbers() if number not in self.seen])
        self.report()
        seen = len([n for n in self.numbers() if n in self.seen])
        print(f"tests under {longest} s: {seen} of {len(self.numbers())} faults are seen", flush=True)

    def forget(self, tests):
        """What these tests reached and saw nothing of, as they have changed."""
        self.reached = {key: r for key, r in self.reached.items() if key not in tests}
        self.tried = {n: [k for k in keys if k not in tests] for n, keys in self.tried.items()}

    def report(self):
        rows = []
        for number in self.numbers():
            site = self.sites[number]
            original = self.sources[site.path][site.start:site.end].decode()
            rows.append({"number": number, **dataclasses.asdict(site), "original": original,
                         "seen_by": self.seen.get(number),
                         "reached_by": len([1 for r in self.reached.values()
                                            if number in r.get("faults", [])])})
        save(self.folder / "result.json", {"faults": rows, "left_out": sorted(
            key for key, r in self.reached.items() if "left_out" in r)})
        (self.folder / "result.txt").write_text("".join(map(line_of, rows)))


def line_of(row):
    by = row["seen_by"]
    saw = f"seen by {by['test']}" if by else ("survived" if row["reached_by"] else "reached by no test")
    short = [re.sub(r"\s+", " ", row[key])[:60] for key in ("original", "fault")]
    return f"{row['number']:4} {row['path']}:{row['line']}  {row['kind']}  {short[0]}  →  {short[1]}  {saw}\n"


def expected_seconds(preset, tests):
    """{name: what ctest measured in the tree's own build folder}; 0 where nothing is known."""
    costs = ROOT / "build" / preset / "Testing/Temporary/CTestCostData.txt"
    found = re.findall(r"^(\S+) \d+ ([0-9.]+)$", costs.read_text(), re.M) if costs.exists() else []
    expected = dict.fromkeys(tests, 0.0)
    for name, seconds in found:
        for key in (name, *(k for k in tests if k.endswith(":" + name.rpartition(".")[0]))):
            if key in expected:
                expected[key] += float(seconds)
    return expected


def tests_of(work, preset):
    """{"preset/name": Test} and {"preset/name": seconds}"""
    listed = suites.of_build(work.tree / "build" / preset)
    tests = {name: test for name, test in listed.items() if not LEFT_OUT.match(name) and
             not name.startswith("fuzz") and "FIXTURES_SETUP" not in test.properties}
    expected = expected_seconds(preset, tests)
    return ({f"{preset}/{name}": test for name, test in tests.items()},
            {f"{preset}/{name}": seconds for name, seconds in expected.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", help="regular expression of tests, as preset/name")
    parser.add_argument("--presets", default="asan,release", help="asan: the unit tests alone")
    parser.add_argument("--as-built", action="store_true", help="the copy is built: leave it as it is")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="tests at a time")
    words = parser.parse_args()
    work = Work(ROOT / "build/mutants", words.number, words.seed, words.jobs)
    tests, cost = {}, {}
    for preset in words.presets.split(","):
        if not words.as_built:
            work.build(preset)
        more, seconds = tests_of(work, preset)
        tests.update(more)
        cost.update(seconds)
    if words.again:
        tests = {key: test for key, test in tests.items() if re.search(words.again, key)}
        work.forget(tests)
    for longest in STEPS:
        work.step(tests, cost, longest)
    total, seen = len(work.numbers()), len([n for n in work.numbers() if n in work.seen])
    print(f"{seen} of {total} faults are seen ({100 * seen / total:.1f} %): build/mutants/result.txt")


if __name__ == "__main__":
    main()
