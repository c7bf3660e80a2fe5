"""kappascope train as several processes, started by hand, by Slurm's variables and by torchrun."""
import os
import random
import signal
import socket
import subprocess
import time
import unittest

import numpy as np

from harness import PROGRAM, files_under, free_port, main
from peer_python import has_torch, start_words
from train_case import TrainCase, steps_of, steps_of_partial

# Ranks add up the same numbers in another order, and AdamW divides by their size.
TOLERANCE = 2e-4


class Ranks(TrainCase):
    def words(self, out, *words, steps):
        """At the learning rate that a batch of this size gets; a higher one makes more of last digits."""
        plain = super().words(out, *words, steps=steps)
        at = plain.index('--lr')
        return plain[:at] + plain[at + 2:]

    def assert_same_course(self, one, other):
        """The first step to the last digits of float32; after it AdamW has made more of them."""
        for ours, theirs in zip(steps_of(one), steps_of(other)):
            self.assertEqual(len(ours), len(theirs))
            for a, b in zip(ours, theirs):
                self.assertEqual(a.keys(), b.keys())
                for name in a.keys() - {'layers'} if a['step'] == 1 else a.keys() & {'loss', 'held_out_loss'}:
                    np.testing.assert_allclose(a[name], b[name], rtol=1e-6 if a['step'] == 1 else TOLERANCE,
                                               err_msg=f'{a["step"]}: {name}')

    def test_two_ranks_learn_as_one(self):
        for words in ([], ['--micro-batch', 2]):
            with self.subTest(words=words):
                one, two = self.folder / f'one{len(words)}', self.folder / f'two{len(words)}'
                self.train(one, *words, '--eval-every', 10, steps=20)
                said = self.run_ranks(2, *self.words(two, *words, '--eval-every', 10, steps=20))
                self.assert_same_course(one, two)
                # What does not hang on the order of sums is the same to the last bit.
                self.assertEqual(steps_of(one)[0][0]['layers'], steps_of(two)[0][0]['layers'])
                self.assertEqual(said[1], '')
                self.assertIn('done: ', said[0])
                self.assertEqual(files_under(one), files_under(two))

    def test_four_ranks_run_twice_give_the_same_files(self):
        places = [self.folder / name for name in ('a', 'b')]
        for place in places:
            words = self.words(place, '--twin', 'kappa=off', steps=6)
            self.run_ranks(4, *words[:3], '--vocab', 400, *words[5:])  # no --tokenizer
        for name in files_under(places[0]):
            self.assertEqual((places[0] / name).read_bytes(), (places[1] / name).read_bytes(), name)

    def test_a_rank_that_is_killed_ends_the_run_and_it_goes_on(self):
        whole = self.folder / 'whole'
        self.run_ranks(2, *self.words(whole, '--save-every', 5, steps=30))
        draw = random.Random(2)
        for victim in (0, 1):
            with self.subTest(victim=victim):
                out = self.folder / f'cut{victim}'
                processes = self.start_ranks(2, *self.words(out, '--save-every', 5, steps=30))
                self.wait_for(lambda: len(steps_of_partial(out)) > 6)
                time.sleep(draw.random() * 0.1)
                processes[victim].kill()
                codes, said = self.finish(processes)
                self.assertEqual(codes[1 - victim], 5, said)
                line = said[1 - victim].splitlines()[-1]
                self.assertIn(f'rank {victim} of 2 has ended', line)
                self.assertIn(f'--resume {out}', line)
                self.run_ranks(2, 'train', '--resume', out, '--threads', 1)
                for name in ('model_000030.pt', 'optim_000030_rank0.pt', 'train.jsonl'):
                    self.assertEqual((whole / name).read_bytes(), (out / name).read_bytes(), name)

    def test_an_interrupt_of_one_ends_all(self):
        for asked in (0, 1):
            out = self.folder / f'out{asked}'
            processes = self.start_ranks(2, *self.words(out, steps=1 << 16))
            self.wait_for(lambda: len(steps_of_partial(out)) > 3)
            processes[asked].send_signal(signal.SIGINT)
            codes, said = self.finish(processes)
            self.assertEqual(codes, [130, 130], said)
            reached = len(steps_of(out)[0])
            self.assertTrue((out / f'model_{reached:06d}.pt').exists(), files_under(out))
            self.assertIn(f'interrupted at step {reached}', said[0])
            self.assertEqual(said[1], '')

    def test_refusals(self):
        out = self.folder / 'out'
        words = self.words(out, steps=4)
        for variables, code, says in (
                ({'MASTER_ADDR': None}, 2, 'MASTER_ADDR is not set'),
                ({'MASTER_PORT': 'x'}, 2, "MASTER_PORT: expected a whole number from 1 to 65535, found 'x'"),
                ({'RANK': 2}, 2, "RANK: expected a whole number from 0 to 1, found '2'"),
                ({'RANK': None}, 2, 'RANK is not set'),
                ({'WORLD_SIZE': 'two'}, 2, "found 'two'")):
            with self.subTest(variables=variables):
                environment = {'RANK': '0', 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '1'}
                environment = os.environ | environment | variables
                environment = {name: str(value) for name, value in environment.items() if value is not None}
                self.assert_refused(code, *words, says=says, env=environment)
        with socket.socket() as taken:
            taken.bind(('', 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            environment = os.environ | {'RANK': '0', 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
            self.assert_refused(5, *words, says=f'MASTER_PORT {port} is in use', env=environment)

    def test_one_rank_speaks_for_all(self):
        out = self.folder / 'out'
        for size, words, code, says in (
                (3, self.words(out, steps=4), 2, '--batch: expected a multiple of the number of ranks, 3'),
                (2, self.words(out, '--top-k', 9, steps=4), 2, '--top-k'),
                (2, ['train', '--resume', self.folder / 'none'], 5, 'no training to go on with')):
            with self.subTest(says=says):
                codes, said = self.finish(self.start_ranks(size, *words))
                self.assertEqual(codes, [code] * size, said)
                self.assertIn(says, said[0])
                self.assertEqual(said[1:], [''] * (size - 1))
                self.assertFalse(out.exists())

    def test_tasks_of_slurm(self):
        one, two = self.folder / 'one', self.folder / 'two'
        self.train(one, steps=6)
        port = free_port()
        processes = [self.start(*self.words(two, steps=6),
                                env=os.environ | {'SLURM_PROCID': str(rank), 'SLURM_NTASKS': '2',
                                                  'SLURM_STEP_NUM_TASKS': '2', 'MASTER_ADDR': 'localhost',
                                                  'MASTER_PORT': str(port)}) for rank in range(2)]
        codes, said = self.finish(processes)
        self.assertEqual(codes, [0, 0], said)
        self.assert_same_course(one, two)
        self.assert_refused(2, *self.words(self.folder / 'out', steps=6), says='MASTER_ADDR is not set',
                            env=os.environ | {'SLURM_PROCID': '0', 'SLURM_NTASKS': '2', 'SLURM_STEP_NUM_TASKS': '2'})

    @unittest.skipIf(not has_torch(), 'no Python with Torch')
    def test_torchrun(self):
        one, two = self.folder / 'one', self.folder / 'two'
        self.train(one, steps=6)
        command, environment = start_words('-m', 'torch.distributed.run', '--no-python', '--nproc-per-node', 2,
                                           '--master-port', free_port(), PROGRAM, *self.words(two, steps=6))
        found = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertEqual(found.stderr.count('done: '), 1, found.stderr)
        self.assert_same_course(one, two)


main()
