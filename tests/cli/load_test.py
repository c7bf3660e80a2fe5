"""Large inputs and many of them: a trace of ten gigabytes, many loads, many documents, several runs at once, a long text.
In small in `make test`, in full in `make soak` (KAPPASCOPE_SOAK)."""
import csv
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import threading
import time
import unittest
import zipfile

import numpy as np

from harness import MODEL, PROGRAM, SOURCE, TEXTS, Case, files_under, main

SOAK = bool(os.environ.get('KAPPASCOPE_SOAK'))
SMALL = SOURCE / 'assets' / 'd4-kappa'
WORDS = (TEXTS / 'prose.txt').read_text().split()


def in_full(full, short):
    return full if SOAK else short


def grow(trace, large, gigabytes):
    """A copy of a trace that also has logits, as with --logits, in a hole of the file: their values are 0."""
    with np.load(trace) as arrays:
        tokens = len(arrays['token_id'])
    vocabulary = gigabytes * 10 ** 9 // (4 * tokens)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({tokens}, {vocabulary}), }}".encode()
    large.write_bytes(trace.read_bytes())
    with zipfile.ZipFile(large, 'a') as archive:
        entry = zipfile.ZipInfo('logits.npy')
        entry.header_offset, entry.CRC = archive.start_dir, 0  # of stored entries nobody looks at the sum
        length = -(archive.start_dir + 30 + len(entry.filename) + 20 + 10 + len(header) + 1) % 64
        header = header + b' ' * length + b'\n'
        entry.file_size = entry.compress_size = 10 + len(header) + 4 * tokens * vocabulary
        archive.fp.seek(archive.start_dir)
        archive.fp.write(entry.FileHeader(zip64=True) + b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header)
        archive.fp.truncate(archive.fp.tell() + 4 * tokens * vocabulary)
        archive.fp.seek(0, os.SEEK_END)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(entry)
        archive.NameToInfo[entry.filename] = entry
        archive._didModify = True


class Watched:
    """A program that runs, with what it holds seen from outside ten times a second."""

    def __init__(self, *words, cwd=None):
        self.seen = []
        self.process = subprocess.Popen([PROGRAM, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()

    def watch(self):
        begin = time.monotonic()
        while self.process.poll() is None:
            try:
                status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
                handles = len(os.listdir(f'/proc/{self.process.pid}/fd'))
            except OSError:
                return
            anonymous = re.search(r'RssAnon:\s+(\d+)', status)
            if anonymous:
                self.seen.append((time.monotonic() - begin, int(anonymous[1]) / 1000, handles))
            time.sleep(0.1)

    def end(self):
        out, err = self.process.communicate()
        self.watcher.join()
        return self.process.returncode, out, err

    def most(self):
        return max((megabytes for _, megabytes, _ in self.seen), default=0)


class Load(Case):
    def test_a_large_trace_is_read_where_it_is_needed(self):
        self.run_program('run', SMALL, '-p', 'The tide came in.', '-o', self.folder / 'out', '--figures', 'none', '-q')
        small, large = self.folder / 'out' / 'trace.npz', self.folder / 'large.npz'
        grow(small, large, 10)
        self.assertGreater(large.stat().st_size, 10 ** 10)
        if large.stat().st_blocks * 512 > 10 ** 8:
            self.skipTest('skipped: this file system keeps no holes')
        seconds = {small: [], large: []}  # of the processor, by turns
        for _ in range(in_full(9, 3)):
            for trace in (small, large):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                watched = Watched('plot', trace, '--figures', 'expert-load', '--figure-format', 'csv', '-o',
                                  self.folder / trace.stem, '--force')
                code, _, err = watched.end()
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds[trace].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                self.assertEqual(code, 0, err)
                self.assertLess(watched.most(), 200)
        self.assertLess(min(seconds[large]), 2 * min(seconds[small]) + 0.3)
        self.assertEqual(*((self.folder / stem / 'expert-load.csv').read_bytes() for stem in ('trace', 'large')))

    def corpus(self, count):
        corpus = self.folder / f'{count}.jsonl'
        with corpus.open('w') as file:
            for number in range(count):
                first = number * 7 % len(WORDS)
                file.write(json.dumps({'id': number, 'text': ' '.join((WORDS[first:] + WORDS)[:12 + number % 9])}) + '\n')
        return corpus

    def test_documents_in_one_stats_hold_nothing(self):
        count = in_full(10 ** 4, 600)
        watched = Watched('stats', SMALL, '--corpus', self.corpus(count), '-o', self.folder / 'result', '-q', '--threads', 1)
        code, _, err = watched.end()
        self.assertEqual(code, 0, err)
        with np.load(self.folder / 'result' / 'stats.npz') as result:
            self.assertEqual(int(result['documents']), count)
        # Of the middle, when everything is loaded, and of the end.
        if len(watched.seen) < 20:
            return  # too quick to be watched
        length = watched.seen[-1][0]
        part = lambda low, high, at: [one[at] for one in watched.seen if low * length <= one[0] <= high * length]
        self.assertLess(max(part(0.8, 1, 1)), 1.1 * max(part(0.4, 0.6, 1)) + 16, 'megabytes')
        # A file that is being written is open for a moment: not the most.
        self.assertLessEqual(statistics.median(part(0.8, 1, 2)), statistics.median(part(0.4, 0.6, 2)) + 1, 'handles')

    @unittest.skipUnless(SOAK, 'in make soak')
    def test_ten_times_the_documents_take_ten_times_as_long(self):
        seconds = []
        for count in (1000, 2000, 10000):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.run_program('stats', SMALL, '--corpus', self.corpus(count), '-o', self.folder / f'of{count}', '-q', '--threads', 1)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        first, second, all_of_them = seconds
        self.assertLess(all_of_them - first, 1.25 * 9 * (second - first))

    def test_runs_at_once_give_the_same_bytes(self):
        places = [self.folder / str(number) for number in range(4)]
        for place in places:
            place.mkdir()
        words = ('run', MODEL, '-f', TEXTS / 'prose.txt', '-o', 'out', '--threads', 2, '--figures', 'expert-load', '-q')
        for run in [Watched(*words, cwd=place) for place in places]:
            code, _, err = run.end()
            self.assertEqual(code, 0, err)
        contents = [{name: (place / 'out' / name).read_bytes() for name in files_under(place / 'out')} for place in places]
        self.assertIn('trace.npz', contents[0])
        for other in contents[1:]:
            self.assertEqual(other.keys(), contents[0].keys())
            for name, first in contents[0].items():
                self.assertEqual(other[name], first, name)

    def test_a_long_text_in_windows(self):
        tokens = in_full(100000, 3000)
        text = self.folder / 'long.txt'
        text.write_text(' '.join((WORDS * (tokens // len(WORDS) + 1))[:tokens]))
        watched = Watched('run', SMALL, '-f', text, '-o', self.folder / 'long', '--window', '--max-tokens', tokens, '--figures', 'none',
                          '-q')
        code, _, err = watched.end()
        self.assertEqual(code, 0, err)
        with np.load(self.folder / 'long' / 'trace.npz') as trace:
            self.assertEqual(len(trace['token_id']), tokens)
            self.assertTrue(np.isfinite(trace['nll'][1:]).all())
        with (self.folder / 'long' / 'tokens.csv').open() as file:
            self.assertEqual(sum(1 for _ in csv.reader(file)), tokens + 1)


if __name__ == '__main__':
    main()
