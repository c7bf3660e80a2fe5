"""Figures of training runs: kappascope plot on logs that grow, differ, or are none."""
import csv
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
PAIR = HERE / "demo-training"


class TrainingFigures(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def plot(self, *words, code=0):
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([PROGRAM, "plot", *map(str, words), "-o", out, "-q"], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        self.said = done.stderr
        return {path.name: path for path in out.iterdir()} if out.exists() else {}

    def test_numbers_are_those_of_the_log(self):
        files = self.plot(PAIR / "kappa", "--figure-format", "csv")
        self.assertEqual(sorted(files), ["train-kappa.csv", "train-load.csv", "train-loss-2.csv", "train-loss.csv"])
        lines = (PAIR / "kappa" / "train.jsonl").read_text().splitlines()[1:]
        losses = [float(line.split('"loss":')[1].split(",")[0]) for line in lines if '"loss"' in line]
        self.assertEqual(len(losses), 240)  # two are a point
        with open(files["train-loss.csv"], newline="") as table:
            rows = list(csv.DictReader(table))
        pairs = list(zip(losses[::2], losses[1::2]))
        self.assertEqual([float(row["loss"]) for row in rows], [(a + b) / 2 for a, b in pairs])
        self.assertEqual([float(row["loss_high"]) for row in rows], [max(pair) for pair in pairs])
        self.assertEqual([int(row["step"]) for row in rows], list(range(2, 241, 2)))
        self.assertEqual({row["run"] for row in rows}, {"kappa"})
        both = self.plot(PAIR, PAIR / "kappa" / "train.jsonl", "--figures", "train-loss", "--figure-format", "csv")
        self.assertIn("train-loss-kappa-off.csv", both)
        self.assertEqual(len(both), 6)  # the same log twice is two runs

    def test_what_is_no_log_is_one_line(self):
        log = self.folder / "train.jsonl"
        head = (PAIR / "kappa" / "train.jsonl").read_text().splitlines()[0]
        for text, code, said in ((head + "\n{}\n", 3, f"{log}:2: expected an object with a whole \"step\", found none"),
                                 (head + "\nnonsense\n", 3, f"{log}:2: "),
                                 ('{"schema":"kappascope.train/9"}\n', 4, f"{log}:1: not the log of a training run"),
                                 ("\0" * 3000000, 3, f"{log}:1: a line of more than")):
            log.write_text(text)
            self.assertEqual(self.plot(log, code=code), {})
            self.assertEqual(self.said.count("\n"), 1, self.said)
            self.assertIn(said, self.said)
        log.write_text(head + '\n{"step":1,"loss":2}\n{"step":2,"lo')  # as a kill leaves it
        self.assertIn("train-loss.svg", self.plot(log))
        log.write_text(head + "\n")
        self.assertIn("nothing to show: the log has no step yet", self.plot(log)["train-loss.svg"].read_text())

    def test_words_that_do_not_go_with_it(self):
        self.plot(PAIR, HERE / "demo", code=2)
        self.assertIn("their figures are drawn by a command each", self.said)
        self.plot(PAIR, "--figures", "loss", code=2)
        self.plot(HERE / "demo", "--figures", "train-loss", code=2)
        self.plot(PAIR, "--layer", "3", code=2)
        self.assertIn("--layer", self.said)
        self.plot(PAIR, "--tokens", "1:2", code=2)
        svg = self.plot(PAIR, "--figures", "train-kappa,train-budget")
        self.assertIn("the log has no budget", svg["train-budget.svg"].read_text())
        self.assertIn("kappa-off is not drawn: its log has no κ.", svg["train-kappa.svg"].read_text())


if __name__ == "__main__":
    unittest.main()
