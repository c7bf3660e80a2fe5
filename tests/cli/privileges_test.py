"""What the program asks of the system: no network, no other program, no file but its own output and the cache of
fonts. Read from the trace of its system calls."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import BUILD, PROGRAM, SOURCE, Case, main

MODEL = SOURCE / 'assets' / 'd4-kappa'
CALLS = '%network,execve,execveat,openat,open,creat,mkdir,unlink,unlinkat,rename,renameat,renameat2,symlink,link,chmod'


def may_trace():
    return shutil.which('strace') and subprocess.run(['strace', '-qq', 'true'], capture_output=True).returncode == 0


@unittest.skipUnless(may_trace(), 'skipped: strace is not here or may not trace')
class PrivilegesTest(Case):
    def calls_of(self, *words):
        log = self.folder / 'calls'
        env = {'PATH': os.environ['PATH'], 'HOME': str(self.folder / 'home')}
        subprocess.run(['strace', '-f', '-y', '-qq', '-e', f'trace={CALLS}', '-o', log, PROGRAM, *map(str, words)], env=env,
                       check=True, capture_output=True, timeout=240)
        calls = [line.split(None, 1)[1] for line in log.read_text(errors='replace').splitlines()]
        return [call for call in calls if not call.startswith(('+++', '---', '<...'))]

    def is_ours(self, call):
        """By its path, or by the folder of the descriptor that the path begins at."""
        return re.match(rf'\w+\((\d+<|.*"){re.escape(str(self.folder))}/', call) or '"/dev/null"' in call

    def check(self, *words):
        calls = self.calls_of(*words)
        self.assertGreater(len(calls), 20)
        for call in calls[1:]:
            self.assertNotRegex(call, r'^(socket|connect|bind|listen|accept|send|recv|execve)', words)
        changing = [call for call in calls[1:] if re.match(r'(mkdir|unlink|rename|symlink|link|chmod|creat)', call) or
                    re.search(r'O_(WRONLY|RDWR|CREAT)', call)]
        strangers = [call for call in changing if not self.is_ours(call) and '-1 EEXIST' not in call]
        self.assertEqual(strangers, [], words)
        return changing

    def test_verbs(self):
        out, corpus = self.folder / 'out', self.folder / 'corpus.txt'
        corpus.write_text('The tide came in and the tide went out.')
        self.assertEqual(self.check('info', MODEL), [])
        self.assertEqual(self.check('tokens', MODEL, '-p', 'The tide'), [])
        self.assertTrue(self.check('run', MODEL, '-p', 'The tide', '-o', out, '--figures', 'expert-load'))
        self.check('plot', out / 'trace.npz', '-o', self.folder / 'plot', '--figures', 'expert-load',
                   '--figure-format', 'svg,pdf,png')
        self.check('stats', MODEL, '--corpus', corpus, '-o', self.folder / 'stats')
        self.check('report', out / 'trace.npz', '-o', self.folder / 'report.html')


    def test_no_thread_takes_the_signals_that_are_watched(self):
        """A thread that took one would end the process, and leave what it has begun: each starts with them held."""
        out, log = self.folder / 'out', self.folder / 'masks'
        self.run_program('run', MODEL, '-p', 'The tide', '-o', out, '--figures', 'none')
        for words in (('report', out, '-o', self.folder / 'report.html', '--figures', 'expert-load'),
                      ('plot', out, '-o', self.folder / 'plot', '--figures', 'expert-load'),
                      ('run', MODEL, '-p', 'The tide', '-o', self.folder / 'again', '--figures', 'expert-load')):
            subprocess.run(['strace', '-f', '-qq', '-e', 'trace=rt_sigprocmask', '-o', log, PROGRAM, *map(str, words)],
                           check=True, capture_output=True, timeout=240)
            starts = {}  # the first that a thread asks for is the mask that it starts with
            for line in log.read_text().splitlines():
                thread, mask = re.match(r'(\d+) +(?:rt_sigprocmask\(SIG_SETMASK, (~?\[.*?\]))?', line).groups()
                if mask is not None:
                    starts.setdefault(thread, mask)
            first = log.read_text().split(None, 1)[0]
            masks = [mask for thread, mask in starts.items() if thread != first]
            self.assertGreater(len(masks), 3, words)
            self.assertEqual([mask for mask in masks if 'HUP INT' not in mask or 'TERM' not in mask], [], words)


class SandboxTest(Case):
    """core/sandbox.h, as the program has it once its words are read; what it refuses: tests/unit/sandbox_test.cpp."""

    def state(self, **environment):
        """What the kernel says of a run that waits for its text."""
        text = self.folder / 'text'
        if not text.exists():
            os.mkfifo(text)
        process = self.start('tokens', MODEL, '-f', text, env=os.environ | environment)
        try:
            # That it opens the pipe shows that it has read its words.
            descriptor = os.open(text, os.O_WRONLY)
            status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
            os.write(descriptor, b'The tide')
            os.close(descriptor)
            self.assertEqual(process.wait(60), 0)
        finally:
            self.end(process)
        return dict(line.split(':\t') for line in status.splitlines() if ':\t' in line)

    def test_is_in_force(self):
        if 'seccomp' not in self.run_program('--version')[0].split('sandbox: ')[1]:
            self.skipTest('skipped: this kernel has no seccomp')
        state = self.state()
        self.assertEqual((state['Seccomp'], state['NoNewPrivs']), ('2', '1'))
        self.assertEqual(self.state(KAPPASCOPE_SANDBOX='off')['Seccomp'], '0')

    def test_writes_end_at_the_output(self):
        """The temporary folder may be written, so it is another one here."""
        if 'Landlock' not in self.run_program('--version')[0].split('sandbox: ')[1]:
            self.skipTest('skipped: this kernel has no Landlock')
        with tempfile.TemporaryDirectory(dir=BUILD) as place:
            place = pathlib.Path(place)
            (place / 'elsewhere').mkdir()
            (place / 'out').mkdir()
            (place / 'temporary').mkdir()
            (place / 'out' / 'figures').symlink_to(place / 'elsewhere')
            self.run_program('run', MODEL, '-p', 'The tide', '-o', place / 'new' / 'out', '--figures', 'none')
            self.assertTrue((place / 'new' / 'out' / 'trace.npz').exists())
            process = self.start('run', MODEL, '-p', 'The tide', '-o', place / 'out', '--figures', 'expert-load',
                                 env=os.environ | {'TMPDIR': str(place / 'temporary')})
            said = process.communicate()[1].decode()
            self.assertEqual(process.returncode, 5, said)
            self.assertIn('figures', said)
            self.assertEqual(list((place / 'elsewhere').iterdir()), [])


if __name__ == '__main__':
    main()
