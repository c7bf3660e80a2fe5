"""Disks that fill up, break or become read-only in the middle of a verb: every call that changes a file fails once.
A few of these moments in `make test`, all of them in `make soak` (KAPPASCOPE_SOAK)."""
import errno
import os
import resource
import shutil
import unittest

from harness import BUILD, STAGING, Case, files_under, main
from small_verbs import MODEL, SmallVerbs

SHIM = BUILD / 'libkappascope_failing_calls.so'
SOAK = bool(os.environ.get('KAPPASCOPE_SOAK'))
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
MOMENTS = 5  # of each verb, in the short form


class FaultCase(Case):
    def failing(self, at=0, code=errno.ENOSPC):
        return os.environ | {'LD_PRELOAD': str(SHIM), 'KAPPASCOPE_FAIL_BELOW': str(self.out.resolve()),
                             'KAPPASCOPE_FAIL_AT': str(at), 'KAPPASCOPE_FAIL_AS': str(code),
                             'KAPPASCOPE_FAIL_COUNT': str(self.folder / 'count')}

    def contents(self):
        return {name: (self.out / name).read_bytes() for name in files_under(self.out)} if self.out.exists() else {}

    def check(self, *words):
        """Each moment: code 5, a line that names a file, what has its name is whole; the next run makes all of it."""
        self.out = self.folder / 'out'
        self.run_program(*words, '-o', self.out, env=self.failing())
        whole = self.contents()
        calls = int((self.folder / 'count').read_text())
        self.assertGreater(calls, 3)
        step = 1 if SOAK else max(1, calls // MOMENTS)
        for number, at in enumerate(range(1, calls + 1, step)):
            for code in ERRORS if SOAK else (ERRORS[number % len(ERRORS)],):
                with self.subTest(verb=words[0], call=at, of=calls, error=errno.errorcode[code]):
                    self.check_moment(words, at, code, whole)
        print(f'{words[0]}: {calls} calls, every {step}.')

    def check_moment(self, words, at, code, whole):
        shutil.rmtree(self.out, ignore_errors=True)
        process = self.start(*words, '-o', self.out, env=self.failing(at, code))
        err = process.communicate(timeout=120)[1].decode()
        if process.returncode == 0:  # it did without: room on the disk that could not be taken beforehand
            self.assertEqual(self.contents(), whole)
            return
        self.assertEqual(process.returncode, 5, err)
        line = err.splitlines()[-1]
        self.assertEqual(err.count('kappascope: ') - err.count('kappascope: warning: '), 1, err)
        self.assertIn(str(self.out), line)
        self.assertIn(os.strerror(code), line)
        found = self.contents()
        self.assertFalse((self.out / STAGING).exists(), err)
        for name, content in found.items():
            if name.endswith('.jsonl'):
                self.assertTrue(whole[name].startswith(content), name)
            elif name.endswith('.state'):  # of a corpus that took longer than a second: for --resume
                self.assertEqual(words[0], 'stats')
            elif name in whole or not name.startswith('optim_'):  # moments of an older step go when the next is there
                self.assertEqual(content, whole.get(name), name)
        if any(name.startswith('meta_') for name in found):
            self.run_program(words[0], '--resume', self.out, '--threads', 1)  # as before: more add in another order
        else:  # what a run of train had begun is not taken for its own; one of stats goes on where there is a state
            further = ['--force'] * (words[0] == 'train') + ['--resume'] * any(name.endswith('.state') for name in found)
            self.run_program(*words, '-o', self.out, *further)
        after = self.contents()
        if words[0] == 'train' and found.keys() >= whole.keys():  # it was at its end, and stays as it is
            after = {name: content for name, content in after.items() if name in whole}
        self.assertEqual(after, whole)


@unittest.skipUnless(SHIM.exists(), 'the shim is not built')
class EveryCallTest(SmallVerbs, FaultCase):
    """Each call that changes a file fails once."""


class LimitTest(FaultCase):
    def test_file_size(self):
        """At every limit of a file's length: nothing half, nothing left."""
        self.out = self.folder / 'out'
        for limit in (0, 1, 100, 4096, 50_000):
            with self.subTest(limit=limit):
                process = self.start('run', MODEL, '-p', 'a', '-o', self.out, preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (limit, limit)))
                err = process.communicate(timeout=120)[1].decode()
                self.assertEqual(process.returncode, 5, err)
                self.assertEqual(err.count('\n'), 1, err)
                self.assertIn('ulimit -f', err)
                self.assertNotIn('found', err)
                self.assertFalse(self.out.exists())

    def test_full_device(self):
        for words in (('info', MODEL), ('tokens', MODEL, '-p', 'a'), ('scan', MODEL), ('metrics',)):
            with self.subTest(words=words), open('/dev/full', 'wb') as full:
                err = self.run_program(*words, code=5, stdout=full)[1]
                self.assertEqual(err.count('\n'), 1, err)


if __name__ == '__main__':
    main()
