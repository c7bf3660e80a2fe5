"""Runs that are killed (SIGKILL) at random moments of their time, again and again, and then go on: the files are those
of a run that was never killed, byte for byte. Few kills in `make test`, 200 of each verb in `make soak`
(KAPPASCOPE_SOAK)."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

from harness import SOURCE, STAGING, Case, files_under, main
from train_case import TEXT, TINY, TOKENIZER

MODEL = SOURCE / 'assets' / 'd4-kappa'
KILLS = 200 if os.environ.get('KAPPASCOPE_SOAK') else 3  # of each verb
A_RUN = 6  # kills, after which it may come to its end and the next run begins
WORDS = 'the tide came in and went out again under a cold moon while nobody looked'.split()


class KillsTest(Case):
    def contents(self, out):
        return {name: (out / name).read_bytes() for name in files_under(out)}

    def check(self, words, again, out, short):
        """`words` begin a run into `out`, `again` go on with it; `short`: seconds before which nothing is worth a kill."""
        start = time.monotonic()
        self.run_program(*words)
        took, whole = time.monotonic() - start, self.contents(out)
        draw, killed, at_work = random.Random(26), 0, 0
        for _ in range(20 + 10 * KILLS):
            if killed == KILLS:
                break
            shutil.rmtree(out)
            command = words
            for _ in range(A_RUN):
                process = self.start(*command)
                try:
                    process.communicate(timeout=draw.uniform(short, took * 1.1))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    killed += 1
                    at_work += (out / STAGING).exists()
                else:
                    if process.returncode == 5 and command is again:
                        break  # killed before there was anything to go on from
                    self.assertEqual(process.returncode, 0)
                command = again if out.exists() and any(out.iterdir()) else words
                if killed == KILLS:
                    break
            self.end_of(command, words)
            found = self.contents(out)
            self.assertEqual(sorted(found), sorted(whole))
            self.assertEqual([name for name in whole if found[name] != whole[name]], [])
        self.assertEqual(killed, KILLS)
        print(f'{words[0]}: {killed} kills, {at_work} of them while files were being made')

    def end_of(self, command, words):
        """To the end; a training run that was killed before its first checkpoint has to be begun anew."""
        process = self.start(*command)
        err = process.communicate(timeout=240)[1].decode()
        if process.returncode == 5 and command != words:
            self.run_program(*words, *(['--force'] if words[0] == 'train' else []))
        else:
            self.assertEqual(process.returncode, 0, err)

    def test_batch(self):
        texts = []
        for i in range(4):
            texts.append(self.folder / f'{i}.txt')
            texts[-1].write_text(' '.join(WORDS[i:] * (i + 1)))
        words = ['run', MODEL, *[word for text in texts for word in ('-f', text)], '-o', self.folder / 'out', '--figures',
                 'expert-load', '--threads', 1]
        self.check(words, words, self.folder / 'out', 0.2)

    def test_stats(self):
        draw, corpus = random.Random(1), self.folder / 'corpus.jsonl'
        corpus.write_text(''.join(json.dumps({'text': ' '.join(draw.choices(WORDS, k=40))}) + '\n' for _ in range(60)))
        words = ['stats', MODEL, '--corpus', corpus, '-o', self.folder / 'out', '--threads', 1]
        self.check(words, [*words, '--resume'], self.folder / 'out', 0.2)

    def test_train(self):
        out = self.folder / 'out'
        words = ['train', '--text', TEXT, '--tokenizer', TOKENIZER, *TINY, '--tokens', 30 * 128, '-o', out, '--save-every', 4,
                 '--eval-every', 10]
        self.check(words, ['train', '--resume', out, '--threads', 1], out, 0.2)


if __name__ == '__main__':
    main()
