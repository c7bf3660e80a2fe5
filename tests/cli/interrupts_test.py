"""Ctrl-C, locks, and what a killed run leaves."""
import os
import signal
import subprocess
import time

from harness import MODEL, STAGING, Case, files_under, main


class InterruptTest(Case):
    def end_by(self, process, number):
        start = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(out, b'')
        self.assertEqual(err.count(b'\n'), 1, err)
        print(f'ended {time.monotonic() - start:.2f} s after {signal.Signals(number).name}')

    def test_while_running(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                out = self.folder / 'made' / 'out'
                process = self.long_run(out)
                self.end_by(process, number)
                self.assertFalse((self.folder / 'made').exists())

    def test_while_waiting_for_input(self):
        """The main thread cannot hear: the watcher ends the process."""
        process = self.start('run', MODEL, '-f', '-', '-o', self.folder / 'out', stdin=subprocess.PIPE)
        self.wait_for(lambda: self.is_asleep(process))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)
        self.assertFalse((self.folder / 'out').exists())

    def is_asleep(self, process):
        with open(f'/proc/{process.pid}/status') as file:
            status = file.read()
        blocked = int(status.split('SigBlk:')[1].split()[0], 16)
        return 'State:\tS' in status and blocked >> (signal.SIGINT - 1) & 1

    def test_twice_ends_at_once(self):
        process = self.long_run(self.folder / 'out')
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)
        self.assertFalse((self.folder / 'out').exists())

    def test_earlier_outputs_stay(self):
        out = self.folder / 'out'
        self.run_program('run', MODEL, '-p', 'The tide', '-o', out)
        before = {name: (out / name).read_bytes() for name in files_under(out)}
        self.end_by(self.long_run(out), signal.SIGINT)
        self.assertEqual(before, {name: (out / name).read_bytes() for name in files_under(out)})

    def test_background_jobs_ignore_what_their_shell_ignores(self):
        process = self.start('run', MODEL, '-f', '-', stdin=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(b'The tide', timeout=120)
        self.assertEqual(process.returncode, 0)


class LockTest(Case):
    def test_one_writer(self):
        out = self.folder / 'out'
        first = self.long_run(out)
        err = self.run_program('run', MODEL, '-p', 'a', '-o', out, code=9)[1]
        self.assertIn(f'another kappascope (process {first.pid} on {os.uname().nodename}) is writing here', err)
        self.assertEqual(err.count('\n'), 1)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
        self.run_program('run', MODEL, '-p', 'a', '-o', out)

    def test_killed_run(self):
        out = self.folder / 'out'
        process = self.long_run(out)
        process.kill()
        process.communicate()
        self.assertTrue((out / STAGING).exists())
        self.run_program('run', MODEL, '-p', 'a', '-o', out)
        self.assertFalse((out / STAGING).exists())
        self.assertIn('trace.npz', files_under(out))


if __name__ == '__main__':
    main()
