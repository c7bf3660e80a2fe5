"""kappascope train --device cuda, with the kernels emulated: what it writes, and how a run goes on.

train_emulated_test.py EMULATED_FOLDER BUILD_FOLDER     the program with the emulated library, and the CPU's
"""
import json, pathlib, signal, subprocess, sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / 'tests' / 'cli'))
EMULATED = pathlib.Path(sys.argv[1]).resolve()
OF_CPU = pathlib.Path(sys.argv.pop(2)).resolve() / 'kappascope'
from harness import Case, main  # reads the first argument

STEPS = 8
RUN = ['train', '--text', SOURCE / 'docs' / 'metrics.md', '--tokenizer', SOURCE / 'assets' / 'tokenizer', '--layers', 3,
       '--width', 32, '--experts', 4, '--context', 32, '--batch', 4, '--tokens', STEPS * 128, '--threads', 1,
       '--kappa', 'gate_proj', '--kappa-delay', 2, '--kappa-warmup', 3, '--lr', 0.01, '-q']


def losses(out):
    lines = [json.loads(line) for line in (out / 'train.jsonl').read_text().splitlines()]
    return [line['loss'] for line in lines if 'loss' in line]


class TrainEmulated(Case):
    def test_a_gpu_trains_as_the_cpu_does_and_goes_on_exactly(self):
        whole, cut, of_cpu = (self.folder / name for name in ('whole', 'cut', 'cpu'))
        self.run_program(*RUN, '--device', 'cuda', '-o', whole)
        self.assertEqual(len(losses(whole)), STEPS)
        process = self.start(*RUN, '--device', 'cuda', '-o', cut)
        log = cut / 'train.jsonl'
        self.wait_for(lambda: log.exists() and log.read_text().count('\n') > 2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, told)
        self.assertIn(f'--resume {cut} --device cuda --threads 1` goes on', told.decode())
        self.assertLess(len(losses(cut)), STEPS)
        self.run_program('train', '--resume', cut, '--device', 'cuda', '--threads', 1, '-q')
        for name in (f'model_{STEPS:06d}.pt', f'optim_{STEPS:06d}_rank0.pt'):
            self.assertEqual((whole / name).read_bytes(), (cut / name).read_bytes(), name)
        subprocess.run([OF_CPU, *map(str, RUN), '--device', 'cpu', '-o', of_cpu], check=True)
        for ours, theirs in zip(losses(whole), losses(of_cpu), strict=True):
            self.assertAlmostEqual(ours, theirs, delta=1e-3 * theirs)

    def test_ranks_with_a_gpu_each_sum_their_derivatives_there(self):
        log = self.folder / 'sums'
        of_two = dict(LD_LIBRARY_PATH=EMULATED, EMULATED_NCCL_LOG=log)
        alone, there = self.folder / 'alone', self.folder / 'there'
        self.run_program(*RUN, '--device', 'cuda', '-o', alone)
        self.run_ranks(2, *RUN, '--device', 'cuda:0', '-o', there, EMULATED_BUS=['0', '1'], **of_two)
        summed = [int(line) for line in log.read_text().split()]
        self.assertEqual(len(summed), STEPS)
        self.assertEqual(len(set(summed)), 1)
        for ours, theirs in zip(losses(there), losses(alone), strict=True):
            self.assertAlmostEqual(ours, theirs, delta=1e-3 * theirs)
        # Two that share a GPU, and where it is switched off.
        for name, variables in (('shared', dict(EMULATED_BUS=['0', '0'])),
                                ('off', dict(EMULATED_BUS=['0', '1'], KAPPASCOPE_NCCL='off'))):
            log.unlink(missing_ok=True)
            out = self.folder / name
            self.run_ranks(2, *RUN, '--device', 'cuda:0', '-o', out, **variables, **of_two)
            self.assertFalse(log.exists())
            self.assertEqual(losses(out), losses(there))  # two summands, in either order

    def test_a_sum_that_fails_ends_all_ranks_with_its_reason(self):
        log = self.folder / 'sums'
        codes, said = self.finish(self.start_ranks(
            2, *RUN, '--device', 'cuda:0', '-o', self.folder / 'out', LD_LIBRARY_PATH=EMULATED, EMULATED_NCCL_LOG=log,
            EMULATED_BUS=['0', '1'], EMULATED_NCCL_ERROR=[None, '2']))
        # The other rank gives its sum up before it saves: on a GPU nothing would go on after it.
        self.assertEqual(log.read_text().splitlines()[-1], 'aborted by 0')
        self.assertEqual(codes, [7, 7], said)
        self.assertEqual(sum('NCCL: unhandled system error; NCCL_DEBUG=WARN says more' in words for words in said), 1,
                         said)


if __name__ == '__main__':
    main()
