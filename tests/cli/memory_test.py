"""Models larger than the memory that a run may take."""
import re
import resource
import subprocess

import numpy as np

from harness import BUILD, MODEL, Case, fresh_signals, main

# A layer of 32 experts has 50 MB of 2-byte weights; in all 210 MB.
SHAPE = ('--hidden', 256, '--layers', 4, '--experts', 32, '--slots', 4, '--moe-start', 0, '--vocab', 512,
         '--sequence', 256, '--dtype', 'bfloat16')
# The shape of Mellum2, much smaller; and two layers of about half its size, whose weights are holes in the file.
SMALL_HUB = ('--hidden', 192, '--layers', 6, '--heads', 4, '--kv-heads', 2, '--head-width', 32, '--experts', 32,
             '--slots', 8, '--gates', 160, '--vocab', 2048, '--window', 64)
HOLES = ('--layers', 2, '--experts', 36, '--sparse')


def limited(bytes_of_address_space):
    def narrow():
        fresh_signals()
        resource.setrlimit(resource.RLIMIT_AS, (bytes_of_address_space, bytes_of_address_space))
    return narrow


class MemoryTest(Case):
    def make_hub_model(self, name, *words):
        folder = self.folder / name
        subprocess.run([str(BUILD / 'kappascope_make_model'), 'hub', str(folder), *map(str, words)], check=True)
        return folder

    def run_ids(self, model, out, *words, **options):
        ids = self.folder / 'ids.json'
        ids.write_text(str([(t * 37 + 11) % 512 for t in range(200)]))
        _, err = self.run_program('run', model, '--ids', ids, '--figures', 'none', '-v', '-o', self.folder / out,
                                  *words, **options)
        plan = [line for line in err.splitlines() if 'weights ' in line and ('resident' in line)]
        self.assertEqual(len(plan), 1, err)
        with np.load(self.folder / out / 'trace.npz') as arrays:
            return plan[0], {name: arrays[name] for name in arrays.files if name != 'kappascope_meta'}

    def assert_same_bits(self, ours, theirs):
        self.assertEqual(ours.keys(), theirs.keys())
        for name in ours:
            self.assertEqual(ours[name].tobytes(), theirs[name].tobytes(), name)

    def test_a_streamed_run_gives_the_bits_of_a_resident_one(self):
        model = self.make_model('large', *SHAPE)
        plan, resident = self.run_ids(model, 'resident', '--lens')
        self.assertIn('all resident', plan)
        plan, streamed = self.run_ids(model, 'streamed', '--memory', '480MB', '--lens')
        self.assertRegex(plan, r'weights 2\d\d MB, streamed a layer at a time; [\d.]+ MB resident')
        self.assert_same_bits(streamed, resident)

    def test_a_hugging_face_folder_is_streamed_from_one_file_and_from_shards(self):
        model = self.make_hub_model('whole', *SMALL_HUB)
        plan, resident = self.run_ids(model, 'resident')
        self.assertIn('all resident', plan)
        for name, words in (('one', ()), ('shards', ('--shard-bytes', 5_000_000))):
            model = self.make_hub_model(name, *SMALL_HUB, *words)
            plan, streamed = self.run_ids(model, f'of {name}', '--memory', '320MB')
            self.assertIn('streamed a layer at a time', plan)
            self.assert_same_bits(streamed, resident)

    def test_a_limit_of_the_address_space_that_the_files_do_not_fit_into(self):
        ids = self.folder / 'ids.json'
        ids.write_text('[1, 2, 3]')
        # Less than the files; enough for the weights, but not for them and the mapped files.
        for name, limit, words in (('one', 900_000_000, ()), ('shards', 900_000_000, ('--shard-bytes', 400_000_000)),
                                   ('beside', 1_700_000_000, ())):
            model = self.make_hub_model(name, *HOLES, *words)
            size = sum(file.stat().st_size for file in model.iterdir())
            self.assertTrue(900_000_000 < size < 1_000_000_000, size)
            _, err = self.run_program('run', model, '--ids', ids, '--figures', 'none', '-v', '-o',
                                      self.folder / f'of {name}', preexec_fn=limited(limit))
            self.assertIn('streamed a layer at a time', err)

    def test_too_little_names_what_is_needed(self):
        err = self.assert_refused(6, 'run', MODEL, '-p', 'a', '-o', self.folder / 'out', '--memory', '1MB',
                                  says=('expected at least ', 'found 1000000 (--memory)'))
        needed = int(re.search(r'at least (\d+) bytes', err).group(1))
        self.run_program('run', MODEL, '-p', 'a', '-o', self.folder / 'out', '--figures', 'none',
                         '--memory', needed)

    def test_a_size_is_a_number_and_a_unit(self):
        for option in ('--memory', '--gpu-memory'):
            for words in ('8 G', 'lots', '0', '-1GB'):
                self.assert_refused(2, 'run', MODEL, '-p', 'a', '-o', self.folder / 'out', f'{option}={words}',
                                    says=f'{option}: expected a size as 8GB')

    def test_a_bound_of_gpu_memory_on_the_cpu_is_refused_not_ignored(self):
        self.assert_refused(2, 'run', MODEL, '-p', 'a', '-o', self.folder / 'out', '--device', 'cpu',
                            '--gpu-memory', '1GB', says='--gpu-memory: expected a GPU')


if __name__ == '__main__':
    main()
