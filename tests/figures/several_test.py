"""Every figure of one, two, three and five runs: a figure names the runs that it shows and no other, in its caption, in
what is inside the file, in its tables and in the names of files.

several_test.py PROGRAM
"""
import csv
import html
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from runs import make_run

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
SERIES = {"step-series"}  # of two runs or more
OF_CORPUS = {"expert-domains", "expert-tokens"}  # of no run
OF_OTHER_RUNS = {"logit-lens", "patching", "decode-overlap"}  # of those that were asked for it
NAMES = ["alder", "birch", "cedar", "downy-oak", "larch"]


def lose(arrays):
    """No token was predicted."""
    arrays["nll"] = np.full_like(arrays["nll"], np.nan)


def named_in(text):
    return {name for name in NAMES if name in text}


class Several(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.runs = [make_run(cls.folder / name, name, command="") for name in NAMES]
        text = subprocess.run([PROGRAM, "plot", "--help"], capture_output=True, text=True, check=True).stdout
        lines = re.findall(r"^  ([a-z0-9-]+)( [*−])?  ", text[text.index("\nFigures ("):text.index("\nOf training")], re.M)
        cls.marks = {figure: mark.strip() for figure, mark in lines if figure not in OF_CORPUS | OF_OTHER_RUNS}
        assert len(cls.marks) > 20 and "*" in cls.marks.values(), cls.marks

    def plot(self, *words, code=0):
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([PROGRAM, "plot", *words, "-o", out, "-q"], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        self.said = done.stderr
        return sorted(out.iterdir()) if out.exists() else []

    def check(self, file, expected):
        text = html.unescape(file.read_text(encoding="utf-8"))
        self.assertEqual(named_in(file.name) - expected, set(), file.name)
        if file.suffix == ".svg":
            visible = " ".join(re.findall(r">([^<>]+)</text>", text))
            described = " ".join(re.findall(r"<(?:desc|metadata)\b.*?</(?:desc|metadata)>", text, re.S))
            self.assertEqual(named_in(visible), expected, file.name)
            self.assertEqual(named_in(described), expected, file.name)
        else:
            rows = list(csv.DictReader(text.splitlines()))
            if file.name.startswith('soft-weight'):  # the models have no soft routing
                self.assertEqual(rows, [], file.name)
                return
            self.assertTrue(rows, file.name)
            for column in ("run", "model"):
                self.assertEqual({row[column] for row in rows}, expected, file.name)

    def expected_of(self, figure, count):
        """The pictures of it: name, and the runs in each."""
        shown = NAMES[:count]
        if figure in SERIES and count == 1:
            return {}
        if self.marks[figure] == "−":
            return {(f"{figure}-{name}" if count > 2 else figure): {shown[0], name} for name in shown[1:]}
        if self.marks[figure] == "*" or count == 1:
            return {figure: set(shown)}
        return {f"{figure}-{name}": {name} for name in shown}

    def test_every_figure_of_one_to_five_runs(self):
        for count in (1, 2, 3, 5):
            files = self.plot(*self.runs[:count], "--figure-format", "svg,csv")
            pictures = {file.stem: file for file in files if file.suffix == ".svg"}
            expected = {}
            for figure in self.marks:
                expected |= self.expected_of(figure, count)
            self.assertEqual(set(pictures), set(expected), count)
            for stem, file in pictures.items():
                self.check(file, expected[stem])
            for file in files:
                if file.suffix == ".csv" and count > 1:
                    whose = named_in(file.name)
                    if whose and len(whose) == 1:
                        self.check(file, whose)

    def test_panels_beside_each_other_name_all_runs(self):
        for count in (2, 5):
            files = self.plot(*self.runs[:count], "--panels", "--figure-format", "svg,csv")
            pictures = [file for file in files if file.suffix == ".svg"]
            self.assertEqual({file.stem for file in pictures}, set(self.marks))
            for file in pictures:
                self.check(file, set(NAMES[:count]))

    def test_a_run_that_is_not_drawn_is_in_no_caption(self):
        short = make_run(self.folder / "short", "fir", lose, command="")
        files = {file.name: file for file in self.plot(*self.runs[:2], short, "--figures", "loss", "--figure-format",
                                                       "svg,csv")}
        self.assertEqual(set(files), {"loss.svg", "loss-alder.csv", "loss-birch.csv"})
        texts = re.findall(r">([^<>]+)</text>", html.unescape(files["loss.svg"].read_text(encoding="utf-8")))
        self.assertEqual([text for text in texts if "fir" in text.split()],
                         [text for text in texts if text.startswith("fir is not drawn: ")])

    def test_a_difference_of_one_run_is_a_wrong_use(self):
        for figure in (figure for figure, mark in self.marks.items() if mark == "−"):
            self.assertEqual(self.plot(self.runs[0], "--figures", figure, code=2), [])
            self.assertEqual(self.said.count("\n"), 1, self.said)


unittest.main()
