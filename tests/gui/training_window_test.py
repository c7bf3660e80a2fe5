"""The program's window on a folder in which another process trains: it draws what is added, and sleeps otherwise.

Called with the build folder on a display of its own (with_display.py)."""
import json
import os
import signal
import subprocess
import time

from window_case import WindowCase, picture_of  # finds harness, too
import harness
from harness import SOURCE

WORDS = ['train', '--text', SOURCE / 'docs' / 'metrics.md', '--tokenizer', SOURCE / 'assets' / 'tokenizer', '--layers', 4,
         '--width', 32, '--experts', 4, '--context', 32, '--batch', 2, '--threads', 1, '--kappa-delay', 2,
         '--kappa-warmup', 3, '--save-every', 20, '--eval-every', 10, '--tokens', 6400000]


class Training(WindowCase):
    def test_the_window_follows_a_run_that_is_held_goes_on_and_is_killed(self):
        run = self.folder / 'run'
        training = self.start(*WORDS, '-o', run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_for((run / 'model_000020.pt').exists)
        training.send_signal(signal.SIGSTOP)
        process = self.open(run)
        before = picture_of(process.window)
        time.sleep(3)
        self.assertEqual(picture_of(process.window), before)
        training.send_signal(signal.SIGCONT)
        self.wait_for((run / 'model_000060.pt').exists)
        self.wait_for(lambda: picture_of(process.window) != before)
        training.kill()
        training.wait()
        with open(run / 'train.jsonl', 'a', encoding='utf-8') as log:
            log.write('{"step":')  # as a kill may leave it
        self.rest(process)
        self.palette(process, 'Training')  # in front already: closes it
        self.end_by_signal(process)
        session = json.loads(self.last_session.read_text())
        self.assertEqual([os.path.basename(model['path']) for model in session['models']], ['run'])
        self.assertNotIn('training', self.settings()['last']['shown'])


if __name__ == '__main__':
    harness.main()
