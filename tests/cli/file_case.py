"""A case of tests with model folders of their own and what a run of the shipped one gives."""
import shutil

import numpy as np

import torch_files
from harness import SOURCE, Case
from torch_files import save

MODEL = SOURCE / 'assets' / 'd4-kappa'
WEIGHTS, META = 'model_004800.pt', 'meta_004800.json'


class FileCase(Case):
    @classmethod
    def setUpClass(cls):
        cls.state = torch_files.load(MODEL / WEIGHTS)

    def model(self, name, state=None, parent=None, **options):
        """A model folder of that name with these weights; the shipped ones unless given."""
        folder = (parent or self.folder) / name
        folder.mkdir(parents=True)
        shutil.copy(MODEL / META, folder)
        if state is None:
            shutil.copy(MODEL / WEIGHTS, folder)
        else:
            save(folder / WEIGHTS, state, **options)
        if not (self.folder / 'tokenizer').exists():
            (self.folder / 'tokenizer').symlink_to(SOURCE / 'assets' / 'tokenizer')
        return folder

    def run_of(self, model, *words):
        """(arrays of the trace, what was said)"""
        out = self.folder / f'out-{len(list(self.folder.iterdir()))}'
        err = self.run_program('run', model, '-p', 'Once upon a time', '-o', out, '--figures', 'none', '-v', *words)[1]
        with np.load(out / 'trace.npz') as trace:
            return {name: trace[name] for name in trace.files if name != 'kappascope_meta'}, err

    def assert_same_run(self, model, *says):
        """The numbers of the shipped model."""
        arrays, err = self.run_of(model)
        for name, expected in self.expected().items():
            np.testing.assert_array_equal(arrays[name], expected, name)
        for word in says:
            self.assertIn(word, err)

    def expected(self):
        if not hasattr(type(self), 'arrays'):
            type(self).arrays = self.run_of(MODEL)[0]
        return self.arrays

    def refused(self, code, model, *says):
        return self.assert_refused(code, 'info', model, says=says)
