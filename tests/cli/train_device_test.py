"""kappascope train --device: what it takes, refuses and says."""
import signal

from harness import Case, SOURCE, main

RUN = ['train', '--text', SOURCE / 'docs' / 'metrics.md', '--tokenizer', SOURCE / 'assets' / 'tokenizer', '--layers', 3,
       '--width', 32, '--experts', 4, '--context', 32, '--batch', 4, '--threads', 1, '--kappa-delay', 2,
       '--kappa-warmup', 3]


class TrainDevice(Case):
    def files(self, out):
        return {name: (out / name).read_bytes() for name in ('model_000004.pt', 'optim_000004_rank0.pt')}

    def test_a_device_is_named_or_found(self):
        named, found = self.folder / 'named', self.folder / 'found'
        self.run_program(*RUN, '--tokens', 4 * 128, '-o', named, '--device', 'cpu')
        _, told = self.run_program(*RUN, '--tokens', 4 * 128, '-o', found)
        self.assertNotIn('Error', told)
        if 'cuda' not in self.run_program('--version')[0].split('device')[-1]:
            self.assertEqual(self.files(named), self.files(found))

    def test_a_run_goes_on_where_it_is_told(self):
        out = self.folder / 'out'
        process = self.start(*RUN, '--tokens', 1 << 24, '-o', out, '--device', 'cpu')
        self.wait_for(lambda: (out / 'train.jsonl').exists() and len((out / 'train.jsonl').read_text().splitlines()) > 3)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, told)
        self.assertIn('--device cpu --threads 1` goes on', told.decode())

    def test_what_is_no_device_is_refused(self):
        self.assert_refused(2, *RUN, '-o', self.folder / 'out', '--tokens', 512, '--device', 'tpu', says='tpu')
        self.assert_refused(7, *RUN, '-o', self.folder / 'gpu', '--tokens', 512, '--device', 'cuda:999', says='cuda')
        self.assertFalse((self.folder / 'gpu').exists())


if __name__ == '__main__':
    main()
