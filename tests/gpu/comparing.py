"""What the comparisons of two builds or devices share: running a program that writes arrays, and the verdict."""
import subprocess
import sys

import numpy as np

FAULTS_SHOWN = 40


def run(words, written, **options):
    """Runs the program, which writes `written`: its arrays, None where it failed, and what it said."""
    written.unlink(missing_ok=True)
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode == 77:
        print(f'skipped: no device ({done.stderr.strip()})')
        sys.exit(77)
    return None if done.returncode else dict(np.load(written)), done.stderr


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
