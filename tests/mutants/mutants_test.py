#!/usr/bin/env python3
"""The tool behind `make mutants` on a program of a few lines: which faults it finds, and that it says of
each whether the tests see it."""

import os
import pathlib
import random
import subprocess
import tempfile
import threading
import unittest
import unittest.mock

import mutants
import sites
import suites

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = b"""#include <cstdlib>
#include <cstring>
#include <vector>
constexpr int kLimit = 3;
static_assert(2 < 3);
template <int Size = 4> struct Row { int values[Size + 1]; };
bool inside(int at) { return at < kLimit; }
int area(int width, int height) { return width * height; }
void grow(std::vector<int>& values) {
  values.reserve(7);
  values.push_back(area(2, 1));
}
int never(int value) { return value - 1; }
int main(int, char** words) {
  std::vector<int> values;
  grow(values);
  const bool grown = !values.empty();
  const bool loose = inside(-3);
  if (std::strcmp(words[1], "loose") == 0) return grown && loose ? 0 : 1;
  return inside(2) && !inside(3) && area(2, 3) == 6 ? 0 : 1;
}
"""


def found(source=SOURCE):
    return sites.sites("a.cpp", source, random.Random(1))


def text(site, source=SOURCE):
    return source[site.start:site.end].decode()


class Sites(unittest.TestCase):
    def test_what_is_a_site(self):
        here = {(s.kind, text(s), s.fault) for s in found()}
        for expected in (("comparison", "at < kLimit", "at <= kLimit"),
                         ("arithmetic", "width * height", "width / height"),
                         ("arithmetic", "value - 1", "value + 1"),
                         ("call", "grow(values)", "void()"),
                         ("call", "values.push_back(area(2, 1))", "void()")):
            self.assertIn(expected, here)
        self.assertTrue(any(s.kind == "constant" and text(s) == "kLimit" for s in found()))

    def test_what_is_known_at_compile_time_is_none(self):
        lines = {s.line for s in found()}
        self.assertFalse(lines & {1, 2, 3, 4, 5, 6}, lines)
        self.assertFalse([s for s in found() if s.kind == "call" and "reserve" in text(s)])

    def test_numbers(self):
        for number, faults in (("1", {"2", "0"}), ("0u", {"1u"}), ("0x10", {"17", "15"}),
                               ("0.5", {"0.45", "0.625"}), ("2.f", {"1.8f", "2.5f"}),
                               ("0.0", {"1.0"}), ("1'000", {"1001", "999"}), ("1e5", {"90000.0", "125000.0"}),
                               ("0644", {None})):
            self.assertEqual({sites.changed_number(number, choice) for choice in (0, 1)}, faults, number)

    def test_the_same_seed_draws_the_same(self):
        files = {f"{folder}/a.cpp": SOURCE for folder in mutants.FOLDERS}
        self.assertEqual(mutants.draw(files, 9, 5), mutants.draw(files, 9, 5))
        drawn = mutants.draw(files, 9, 5)
        self.assertEqual([s.path for s in drawn], [f"{f}/a.cpp" for f in mutants.FOLDERS for _ in range(3)])


class Verdicts(unittest.TestCase):
    def verdict(self, status, output, **properties):
        with tempfile.NamedTemporaryFile() as log:
            pathlib.Path(log.name).write_text(output)
            return suites.verdict(suites.Test("", [], properties, []), status, log.name)

    def test_as_ctest_would_say(self):
        skipped = {"SKIP_REGULAR_EXPRESSION": [r"\[  SKIPPED \]"]}
        self.assertEqual(self.verdict(0, "[       OK ] A.B"), "passed")
        self.assertEqual(self.verdict(0, "[  SKIPPED ] A.B", **skipped), "skipped")
        self.assertEqual(self.verdict(1, "[  FAILED  ] A.B\n[  SKIPPED ] A.C", **skipped), "failed")
        self.assertEqual(self.verdict(77, "", SKIP_RETURN_CODE=77), "skipped")
        self.assertEqual(self.verdict(-11, ""), "failed")
        self.assertEqual(self.verdict(None, ""), "late")
        self.assertEqual(self.verdict(1, "a race", PASS_REGULAR_EXPRESSION=["race"]), "passed")


class Judged(unittest.TestCase):
    """Builds the program once, runs its two "tests" on a few faults."""

    def test_planted_faults(self):
        with tempfile.TemporaryDirectory() as folder:
            work = self.prepare(pathlib.Path(folder))
            program = str(work.folder / "program")
            tests = {word: suites.Test(word, [program, word], {}, []) for word in ("loose", "exact")}
            work.together(lambda key: work.record(key, tests[key]), tests)
            work.together(lambda number: work.judge(number, tests), work.numbers())
            seen = {text(work.sites[n]): by["test"] for n, by in work.seen.items()}
            self.assertEqual(seen, {"at < kLimit": "exact", "width * height": "exact",
                                    "values.push_back(area(2, 1))": "loose"})
            reached = {key: {text(work.sites[n]) for n in r["faults"]} for key, r in work.reached.items()}
            self.assertNotIn("value - 1", reached["loose"] | reached["exact"])
            self.assertIn("width * height", reached["loose"])

    def test_what_fails_without_the_fault_sees_nothing(self):
        work = mutants.Work.__new__(mutants.Work)
        work.folder = HERE  # nothing is written
        for verdicts, how in ((["passed"], None), (["skipped"], None), (["failed", "failed"], None),
                              (["failed", "passed", "passed"], None), (["late", "late"], None),
                              (["failed", "passed", "failed"], "failed"),
                              (["late", "passed", "late"], "late")):
            given = []

            def run(test, scratch, extra, seconds):
                given.append(extra)
                return verdicts[len(given) - 1], 0.1

            with unittest.mock.patch.object(suites, "run", run):
                self.assertEqual(work.sees(7, None, 20), how)
            fault = {"KAPPASCOPE_MUTANT": "7"}
            self.assertEqual(given, [fault, {}, fault][:len(verdicts)])

    def test_whose_fault_it_is_that_the_copy_does_not_build(self):
        work = mutants.Work.__new__(mutants.Work)
        work.tree, work.dropped = pathlib.Path("/copy"), set()
        work.sites = [sites.Site(path, line, line, 0, 1, "constant", "1")
                      for path, line in (("core/a.h", 52), ("core/b.h", 7), ("core/b.cpp", 7))]
        beside = ("In file included from /copy/core/a.h:1,\n"
                  "                 from /copy/tests/a_test.cpp:3:\n"
                  "/copy/tests/a_test.cpp:16:92: error: call to non-constexpr function acts(int)\n")
        self.assertEqual(work.faults_in(beside), [0])
        self.assertEqual(work.faults_in(beside + "/copy/core/b.cpp:7:1: error: narrowing\n"), [2])
        self.assertEqual(work.faults_in("ld: out of memory\n"), [])

    def prepare(self, folder):
        wanted = {"at < kLimit", "width * height", "values.push_back(area(2, 1))", "value - 1"}
        chosen = [s for s in found() if text(s) in wanted]
        source = sites.with_faults(SOURCE, list(enumerate(chosen)), HERE / "mutant.h")
        (folder / "a.cpp").write_bytes(source)
        subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", folder / "a.cpp", "-o",
                        folder / "program"], check=True)
        work = mutants.Work.__new__(mutants.Work)
        work.folder, work.sites, work.dropped = folder, chosen, set()
        work.reached, work.seen, work.tried = {}, {}, {}
        work.jobs, work.lock = 2, threading.Lock()
        return work


if __name__ == "__main__":
    unittest.main()
