"""Models larger than the memory that a run may take."""
import re

import numpy as np

from harness import MODEL, Case, main

# A layer of 32 experts has 50 MB of 2-byte weights; in all 210 MB.
SHAPE = ('--hidden', 256, '--layers', 4, '--experts', 32, '--slots', 4, '--moe-start', 0, '--vocab', 512,
         '--sequence', 256, '--dtype', 'bfloat16')


class MemoryTest(Case):
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
        plan, resident = self.run_ids(model, 'resident')
        self.assertIn('all resident', plan)
        plan, streamed = self.run_ids(model, 'streamed', '--memory', '480MB')
        self.assertRegex(plan, r'weights 2\d\d MB, streamed a layer at a time; [\d.]+ MB resident')
        self.assert_same_bits(streamed, resident)

    def test_too_little_names_what_is_needed(self):
        err = self.assert_refused(6, 'run', MODEL, '-p', 'a', '-o', self.folder / 'out', '--memory', '1MB',
                                  says=('expected at least ', 'found 1000000 (--memory)'))
        needed = int(re.search(r'at least (\d+) bytes', err).group(1))
        self.run_program('run', MODEL, '-p', 'a', '-o', self.folder / 'out', '--figures', 'none',
                         '--memory', needed)

    def test_a_size_is_a_number_and_a_unit(self):
        for words in ('8 G', 'lots', '0', '-1GB'):
            self.assert_refused(2, 'run', MODEL, '-p', 'a', '-o', self.folder / 'out', f'--memory={words}',
                                says='--memory: expected a size as 8GB')


if __name__ == '__main__':
    main()
