"""What the comparisons of two builds or devices share: running a program that writes arrays, and the verdict."""
import json
import subprocess
import sys

import numpy as np

FAULTS_SHOWN = 40


def run(words, written, **options):
    """Runs the program, which writes `written`: its arrays, None where it failed, and what it said."""
    written.unlink(missing_ok=True)
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, **options)
    return answer(done.returncode, done.stderr, written)


def answer(code, said, written, no_device=True):
    """no_device: the first answer of a program, which may say that there is none."""
    if code == 77 and no_device:
        print(f'skipped: no device ({said.strip()})')
        sys.exit(77)
    return None if code else dict(np.load(written)), said


class Dumper:
    """A kappascope_dump_forward that stays: what starting it anew for each text would cost is saved."""

    def __init__(self, program):
        self.answered = False
        self.process = subprocess.Popen([program, '-'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, written, *words):
        """As run(), of these words."""
        written.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps([str(word) for word in words]) + '\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f'{words}: ended with {self.process.wait()}')
        first, self.answered = not self.answered, True
        return answer(*json.loads(line), written, no_device=first)

    def end(self):
        """Lets it end, which it must do well."""
        self.process.stdin.close()
        if self.process.wait():
            sys.exit(f'{self.process.args[0]}: ended with {self.process.returncode}')


def arrays_of(words, written):
    arrays, said = run(words, written)
    return arrays if arrays is not None else sys.exit(said)


def worst(name, ours, theirs, excess):
    """A line about the element with the largest `excess`, where that is above 1; else ''."""
    if not excess.size or excess.max() <= 1:
        return ''
    at = np.unravel_index(excess.argmax(), excess.shape)
    return f'{name}{list(map(int, at))}: {theirs[at]:.7g}, expected {ours[at]:.7g}'


def verdict(compared, faults):
    """Says what was found; the exit status."""
    print(f'{compared} values compared, {len(faults)} faults')
    for fault in faults[:FAULTS_SHOWN]:
        print('FAILED', fault)
    return 1 if faults or not compared else 0
