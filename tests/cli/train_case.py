"""A case of tests with training runs of a tiny model, and what they leave behind."""
import io
import json
import pickle
import zipfile

from harness import SOURCE, Case

TEXT = SOURCE / 'docs' / 'metrics.md'
TOKENIZER = SOURCE / 'assets' / 'tokenizer'
SMALL = ['--layers', 4, '--width', 32, '--experts', 4, '--context', 32, '--threads', 1, '--kappa-delay', 2,
         '--kappa-warmup', 3, '--lr', 0.01]
TINY = [*SMALL, '--batch', 4]


def steps_of(folder):
    lines = [json.loads(line) for line in (folder / 'train.jsonl').read_text().splitlines()]
    assert lines[0]['schema'] == 'kappascope.train/1', lines[0]
    return ([line for line in lines[1:] if 'loss' in line],
            [line for line in lines[1:] if 'held_out_loss' in line])


def steps_of_partial(folder):
    """The lines of steps in a log that is being written."""
    try:
        return [line for line in (folder / 'train.jsonl').read_text().splitlines() if '"loss"' in line]
    except OSError:
        return []


def tensors(path):
    """Names and bytes of a file of torch.save, read without Torch."""
    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            return lambda *values: (module + '.' + name, values)

        def persistent_load(self, key):
            return key[2]

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        head = archive.namelist()[0].split('/')[0]
        root = Reader(io.BytesIO(archive.read(head + '/data.pkl'))).load()
        return {name: archive.read(f'{head}/data/{value[1][0]}') for name, value in root.items()}


class TrainCase(Case):
    def words(self, out, *words, steps):
        return ['train', '--text', TEXT, '--tokenizer', TOKENIZER, *TINY, '--tokens', steps * 128, '-o', out,
                *words]

    def train(self, out, *words, steps=12, **options):
        return self.run_program(*self.words(out, *words, steps=steps), **options)
