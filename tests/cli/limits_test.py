"""Limits of the system: memory, threads, a temporary folder that is not there."""
import os
import resource
import subprocess
import unittest

from harness import PROGRAM, SOURCE, Case, main

MODEL = SOURCE / 'assets' / 'd4-kappa'


class LimitTest(Case):
    def limited(self, *limits):
        def apply():
            for kind, value in limits:
                resource.setrlimit(kind, (value, value))
        return apply

    def test_temporary_folder(self):
        env = os.environ | {'TMPDIR': '/no/such/folder'}
        self.assert_refused(5, 'run', MODEL, '-p', 'a', env=env, says=('TMPDIR', '/no/such/folder'))

    def test_memory(self):
        for megabytes in (200, 300, 500):
            with self.subTest(megabytes=megabytes):
                limit = self.limited((resource.RLIMIT_AS, megabytes << 20))
                process = self.start('run', MODEL, '-p', 'a', '-o', self.folder / 'out', preexec_fn=limit)
                err = process.communicate(timeout=120)[1].decode()
                self.assertEqual(process.returncode, 6, err)
                self.assertEqual(err.count('\n'), 1, err)

    @unittest.skipUnless(os.geteuid() == 0, 'only root can become another user, whose threads are counted')
    def test_threads(self):
        """A limit of threads ends a run with a sentence, not Torch's or Pango's abort."""
        def become_another():
            os.setgroups([])
            os.setgid(61235)
            os.setuid(61235)
        if subprocess.run(['test', '-x', PROGRAM], preexec_fn=become_another).returncode:
            self.skipTest(f'another user may not run {PROGRAM}: a folder above it is private')
        for threads in (2, 3, 4, 5):
            with self.subTest(threads=threads):
                def apply():
                    resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
                    become_another()
                process = self.start('run', MODEL, '-p', 'a', '--threads', 4, preexec_fn=apply,
                                     env=os.environ | {'HOME': '/nonexistent'})
                err = process.communicate(timeout=120)[1].decode()
                self.assertEqual(process.returncode, 6, err)
                self.assertIn('--threads', err)
                self.assertEqual(err.count('\n'), 1, err)


if __name__ == '__main__':
    main()
