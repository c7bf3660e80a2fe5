"""Every array, column and key that the program writes is in docs/metrics.md and docs/files.md, and
`kappascope metrics` knows it."""
import csv
import json
import re

import numpy as np

from harness import MODEL, SOURCE, Case, main

# Objects whose keys are the checkpoint's, or the names of arrays, parts and types.
FREE = ('model_config', 'arrays', 'parts', 'tensors_of_dtype')


def keys_of(document):
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            if key not in FREE:
                yield from keys_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from keys_of(value)


def in_code(markdown):
    """What is between backquotes in the tables and lists of a page."""
    return set(re.findall(r'`([^`]+)`', markdown))


def names_in(out):
    """Names by the file below `out` that has them."""
    names = {}
    for path in sorted(out.rglob('*')):
        if path.suffix == '.csv':
            with open(path, newline='', encoding='utf-8') as file:
                names[path] = next(csv.reader(file))
        elif path.suffix == '.json':
            names[path] = list(keys_of(json.loads(path.read_text())))
        elif path.suffix == '.npz':
            archive = np.load(path, allow_pickle=False)
            names[path] = archive.files + list(keys_of(json.loads(str(archive['kappascope_meta']))))
    return names


class NamesTest(Case):
    def outputs(self):
        out = self.folder / 'out'
        text = self.folder / 'text.txt'
        text.write_text('The tide came in and the tide went out again.')
        self.run_program('run', MODEL, '-f', text, text, '-o', out, '-q', '--record', 'gates', '--logits', '--figures',
                         'all', '--figure-format', 'csv')
        self.run_program('plot', out / '001-text', '--by-expert', '--figure-format', 'csv', '-o', out / 'by-expert')
        names = names_in(out)
        names[out / 'info.json'] = list(keys_of(json.loads(self.run_program('info', MODEL, '--json')[0])))
        return names

    def test_all_are_documented(self):
        outputs = self.outputs()
        self.assertLess(25, len(outputs))
        self.check_documented(outputs)

    def check_documented(self, outputs):
        known = self.run_program('metrics')[0].split('\n')
        self.assertEqual(len(known), len(set(known)))
        files = in_code((SOURCE / 'docs' / 'files.md').read_text())
        spread = {f'kappa_{of}_{part}' for of in ('scale', 'bias', 'at_median_input')
                  for part in ('min', 'p05', 'p25', 'p50', 'p75', 'p95', 'max', 'mean')}
        for path, names in outputs.items():
            with self.subTest(file=path.name):
                self.assertEqual(set(names) - set(known), set())
                if path.suffix == '.npz':
                    names = np.load(path).files
                if path.name != 'batch.json':
                    self.assertEqual(set(names) - files - spread, set())

    def test_what_only_some_families_have(self):
        ids = self.folder / 'ids.txt'
        ids.write_text('1\n2\n3\n4\n5\n')
        for family, own in (('granitemoeshared', 'shared_'), ('gpt-oss-alpha-limit', 'gate_clamped_fraction')):
            model, out = SOURCE / 'tests' / 'golden' / 'hf' / family, self.folder / family
            self.run_program('run', model, '--ids', ids, '-o', out, '-q', '--record', 'gates', '--figures', 'all',
                             '--figure-format', 'csv')
            (out / 'info.json').write_text(self.run_program('info', model, '--json')[0])
            self.check_documented(names_in(out))
            self.check_columns(out, own)

    def test_of_soft_routing(self):
        model, out = SOURCE / 'tests' / 'golden' / 'data' / 'softmoe-temperature-cap', self.folder / 'soft'
        self.run_program('run', model, '-p', 'The tide came in.', '--tokenizer', SOURCE / 'assets' / 'tokenizer', '-o', out,
                         '-q', '--figures', 'all', '--figure-format', 'csv', '--threshold', '0.1')
        (out / 'info.json').write_text(self.run_program('info', model, '--json')[0])
        self.check_documented(names_in(out))

    def test_of_chats(self):
        chats, out = self.folder / 'chats.jsonl', self.folder / 'chats'
        chats.write_text(json.dumps({'messages': [{'role': role, 'content': 'The tide came in.'}
                                                  for role in ('user', 'assistant')]}))
        self.run_program('run', MODEL, '-f', chats, '--chat', '--only', 'assistant', '-o', out, '-q')
        names = names_in(out)
        self.check_documented(names)
        self.assertIn('token_mask', [name for of_file in names.values() for name in of_file])

    def test_of_generated_texts(self):
        out = self.folder / 'generated'
        said = self.run_program('generate', MODEL, '-p', 'The tide', '--tokens', 5, '-o', out, '-q', '--json', '--figures', 'all',
                                '--figure-format', 'csv')[0]
        (out / 'said.json').write_text(said)
        names = names_in(out)
        self.check_documented(names)
        self.assertIn('phase', [name for of_file in names.values() for name in of_file])

    def test_of_the_lens_and_of_patching(self):
        a, out = self.folder / 'a', self.folder / 'patched'
        self.run_program('run', MODEL, '-p', 'The tide came in', '-o', a, '-q', '--lens', '--record', 'outputs',
                         '--figures', 'logit-lens', '--figure-format', 'csv')
        self.run_program('patch', MODEL, '-p', 'The tide went in', '--from', a, '--layers', '3', '-o', out, '-q',
                         '--figure-format', 'csv')
        names = {**names_in(a), **names_in(out)}
        self.check_documented(names)
        self.assertLessEqual({'logit-lens.csv', 'patching.csv', 'patching.json'}, {path.name for path in names})

    def test_of_training_runs(self):
        out = self.folder / 'training'
        for log in ('demo-training', 'demo-soft'):
            self.run_program('plot', SOURCE / 'tests' / 'figures' / log, '-o', out / log, '-q', '--figure-format', 'csv')
        self.check_documented(names_in(out))
        page = (SOURCE / 'docs' / 'figures.md').read_text()
        columns = in_code('\n'.join(line.split('|')[1] for line in page.splitlines() if line.startswith('|')))
        for path, names in names_in(out).items():
            self.assertEqual(set(names) - columns, set(), path.name)

    def check_columns(self, out, own):
        """Each array whose name begins with `own` is a column of routing.csv, the same in all slots of a token
        where the array has no slots."""
        trace = np.load(out / 'trace.npz')
        with open(out / 'routing.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        names = [name for name in trace.files if name.startswith(own) and not name.endswith('_index')]
        self.assertTrue(names)
        slots = trace['expert_index'].shape[2]
        for name in names:
            of_slots = trace[name] if trace[name].ndim == 3 else np.repeat(trace[name][:, :, None], slots, 2)
            layers = trace['shared_layer_index'] if trace[name].ndim == 2 else trace['layer_index']
            written = [row[name] for row in rows if int(row['layer']) in layers]
            np.testing.assert_array_equal(np.array([text or 'nan' for text in written], np.float32), of_slots.ravel(), name)
            self.assertEqual({row[name] for row in rows if int(row['layer']) not in layers} - {''}, set())

    def test_metrics_prints_text(self):
        for name in self.run_program('metrics')[0].split():
            if len(name) % 7 and name != 'kappa_p05':
                continue
            text = self.run_program('metrics', name)[0]
            self.assertIn(name, text.splitlines()[0])
            self.assertIn('Unit and range:', text)
            self.assertNotRegex(text, r'\*\*|^#|`')
            self.assertLessEqual(max(map(len, text.splitlines()[1:])), 80)
        self.assertIn('kappa_nonsense', self.run_program('metrics', 'kappa_nonsense', code=2)[1])


if __name__ == '__main__':
    main()
