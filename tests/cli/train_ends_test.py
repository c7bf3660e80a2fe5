"""kappascope train, ended at any moment: a run that goes on is the run that was never disturbed."""
import json
import random
import shutil
import signal
import time

from harness import STAGING, files_under, main
from train_case import TrainCase, steps_of, steps_of_partial


class Ends(TrainCase):
    def assert_same_run(self, whole, cut, steps):
        for name in (f'model_{steps:06d}.pt', f'optim_{steps:06d}_rank0.pt', f'meta_{steps:06d}.json', 'train.jsonl'):
            self.assertEqual((whole / name).read_bytes(), (cut / name).read_bytes(), name)

    def test_killed_at_six_moments_it_ends_with_the_same_weights(self):
        """Every second moment is one at which a checkpoint is being written."""
        whole, cut = self.folder / 'whole', self.folder / 'cut'
        words, steps = ['--save-every', 3, '--eval-every', 10], 46
        self.train(whole, *words, steps=steps)
        draw = random.Random(3)
        process = self.start(*self.words(cut, *words, steps=steps))
        for turn in range(6):
            before = len(steps_of_partial(cut))
            self.wait_for(lambda: process.poll() is not None or len(steps_of_partial(cut)) > before)
            if turn % 2:
                time.sleep(draw.random() * 0.1)
                self.wait_for(lambda: process.poll() is not None or any((cut / STAGING).glob('*_*')))
            time.sleep(draw.random() * (0.004 if turn % 2 else 0.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = self.start('train', '--resume', cut, '--threads', 1)
        self.assertEqual(process.wait(), 0, process.stderr.read())
        self.assert_same_run(whole, cut, steps)
        self.assertEqual([name for name in files_under(cut) if STAGING in name or name.startswith('optim')],
                         [f'optim_{steps:06d}_rank0.pt'])

    def test_interrupted_evaluations_are_made_up_for(self):
        whole, cut = self.folder / 'whole', self.folder / 'cut'
        words, steps = ['--eval-every', 1], 24
        self.train(whole, *words, steps=steps)
        draw = random.Random(5)
        process = self.start(*self.words(cut, *words, steps=steps))
        for _ in range(3):
            before = len(steps_of_partial(cut))
            self.wait_for(lambda: process.poll() is not None or len(steps_of_partial(cut)) > before)
            time.sleep(draw.random() * 0.1)
            process.send_signal(signal.SIGINT)
            process.wait()
            process = self.start('train', '--resume', cut, '--threads', 1)
        self.assertEqual(process.wait(), 0, process.stderr.read())
        self.assert_same_run(whole, cut, steps)

    def test_the_last_evaluation_is_made_up_for(self):
        whole, cut = self.folder / 'whole', self.folder / 'cut'
        self.train(whole)
        shutil.copytree(whole, cut)
        log, meta = cut / 'train.jsonl', cut / 'meta_000012.json'
        lines = log.read_text().splitlines(keepends=True)
        self.assertIn('held_out_loss', lines[-1])
        log.write_text(''.join(lines[:-1]))  # as an interrupt during that evaluation leaves them
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {'val_bpb': None}))
        self.run_program('train', '--resume', cut, '--threads', 1)
        self.assert_same_run(whole, cut, 12)
        self.assertIn('nothing is left to do', self.run_program('train', '--resume', cut)[1])

    def test_a_batch_in_parts(self):
        """Capacity and load balancing count within a part; the rest is the same batch."""
        whole, parts = self.folder / 'whole', self.folder / 'parts'
        # A low rate: AdamW makes whole steps of the rounding of derivatives that are 0.
        for out, words in ((whole, []), (parts, ['--micro-batch', 2])):
            words = self.words(out, *words, steps=20)
            words[words.index('--lr') + 1] = 0.001
            self.run_program(*words)
        (ours, _), (theirs, _) = steps_of(parts), steps_of(whole)
        self.assertEqual([line['tokens'] for line in ours], [line['tokens'] for line in theirs])
        for one, other in zip(ours, theirs):
            self.assertAlmostEqual(one['loss'], other['loss'], delta=2e-3)
        self.assertNotEqual(ours[0]['balance'], theirs[0]['balance'])
        # AdamW would not show a wrong scale of all derivatives.
        self.assertAlmostEqual(ours[0]['gradient'], theirs[0]['gradient'], delta=0.02 * theirs[0]['gradient'])
        self.assertEqual(json.loads((parts / 'meta_000020.json').read_text())['device_batch_size'], 2)
        self.assert_refused(2, *self.words(self.folder / 'out', '--micro-batch', 3, steps=20),
                            says='--micro-batch: expected a divisor of --batch 4, found 3')


main()
