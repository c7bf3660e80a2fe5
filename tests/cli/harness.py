"""What the tests of the command line share. Each is called with the build folder as its argument."""
import os
import pathlib
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()
PROGRAM = str(BUILD / 'kappascope')
MODEL = SOURCE / 'assets' / 'd8-kappa'
TEXTS = SOURCE / 'assets' / 'texts'
STAGING = '.kappascope-unfinished'


def fresh_signals():
    """Tests run in the background, or by nohup, may be started with signals ignored; the program keeps to that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='kappascope-test-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *words, **options):
        options = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
                   'preexec_fn': fresh_signals} | options
        process = subprocess.Popen([PROGRAM, *map(str, words)], **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def run_program(self, *words, code=0, **options):
        """Runs to the end, expects the exit code, gives (stdout, stderr) as text."""
        text = options.pop('input', None)
        if text is not None:
            options['stdin'] = subprocess.PIPE
        process = self.start(*words, **options)
        out, err = process.communicate(text, timeout=240)
        out, err = (out or b'').decode(), (err or b'').decode()
        self.assertEqual(process.returncode, code, f'{words}: {err}')
        return out, err

    def run_on_terminal(self, *words, **variables):
        """What the program writes to standard error when that is a terminal."""
        ours, theirs = pty.openpty()
        process = self.start(*words, stderr=theirs, env=os.environ | {'TERM': 'xterm'} | variables)
        os.close(theirs)
        shown = b''
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            shown += block
        os.close(ours)
        process.communicate(timeout=240)
        self.assertEqual(process.returncode, 0)
        return shown.decode()

    def start_ranks(self, size, *words, **variables):
        """The processes of a run, in the order of their ranks; a value None unsets a variable, a list has one for each."""
        port = free_port()
        processes = []
        for rank in range(size):
            environment = os.environ | {'RANK': rank, 'WORLD_SIZE': size, 'MASTER_ADDR': '127.0.0.1',
                                        'MASTER_PORT': port} | {
                name: value[rank] if isinstance(value, list) else value for name, value in variables.items()}
            environment = {name: str(value) for name, value in environment.items() if value is not None}
            processes.append(self.start(*words, env=environment))
        return processes

    def finish(self, processes):
        """(exit codes, what each said)"""
        said = [process.communicate(timeout=120)[1].decode() for process in processes]
        return [process.returncode for process in processes], said

    def run_ranks(self, size, *words, **variables):
        codes, said = self.finish(self.start_ranks(size, *words, **variables))
        self.assertEqual(codes, [0] * size, said)
        return said

    def assert_refused(self, code, *words, says=(), **options):
        """One line on stderr, nothing on stdout, no output folder."""
        out, err = self.run_program(*words, code=code, **options)
        self.assertEqual(out, '')
        self.assertTrue(err.startswith('kappascope: ') and err.endswith('\n'), err)
        self.assertEqual(err.count('\n'), 1, err)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, err)
        self.assertFalse((self.folder / 'out').exists())
        return err

    def make_model(self, name, *words):
        folder = self.folder / name
        subprocess.run([str(BUILD / 'kappascope_make_model'), str(folder), *map(str, words)], check=True)
        return folder

    def copy_model(self, name='model'):
        """A model folder of its own, to be damaged; its tokenizer is beside it."""
        folder = self.folder / name
        shutil.copytree(MODEL, folder)
        if not (self.folder / 'tokenizer').exists():
            shutil.copytree(SOURCE / 'assets' / 'tokenizer', self.folder / 'tokenizer')
        return folder

    def wait_for(self, holds, seconds=60):
        end = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), end, 'waited in vain')
            time.sleep(0.01)

    def long_run(self, out):
        """A run of many chunks, some seconds long, once it has begun to write."""
        text = self.folder / 'long.txt'
        text.write_text('The tide came in and the tide went out again. ' * 2500)
        process = self.start('run', MODEL, '-f', text, '--window', '-o', out)
        self.wait_for(lambda: (out / STAGING / 'trace.npz').exists())
        return process


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
