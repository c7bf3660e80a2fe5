"""Runs beside each other: what they are called, in legends, tables, captions and names of files; and
what of a checkpoint is said or refused."""
import csv
import json
import re
import shutil
import subprocess

from harness import BUILD, SOURCE, Case, main

MODEL = SOURCE / 'assets' / 'd4-kappa'
TEXT = 'The tide came in and went out again.'


def texts_of(path):
    return re.findall(r'>([^<>]+)</text>', path.read_text(encoding='utf-8'))


class CompareCase(Case):
    def model(self, name):
        """A copy of the shipped model in a folder of its own below the tests', with its tokenizer beside it."""
        folder = self.folder / name
        shutil.copytree(MODEL, folder)
        tokenizer = folder.parent / 'tokenizer'
        if not tokenizer.exists():
            shutil.copytree(SOURCE / 'assets' / 'tokenizer', tokenizer)
        return folder

    def trace(self, name, model, *words, **options):
        out = self.folder / 'runs' / name
        self.run_program('run', model, '-p', TEXT, '-o', out, '-q', '--figures', 'none', *words, **options)
        return out

    def plot(self, *traces, figures='kappa-depth,loss', words=(), **options):
        out = self.folder / 'figures'
        shutil.rmtree(out, ignore_errors=True)
        self.run_program('plot', *traces, '--figures', figures, '--figure-format', 'svg,csv', '-q', '-o', out, *words,
                         **options)
        return out

    def names(self, *traces):
        """As the legend has them and as the tables have them."""
        out = self.plot(*traces, figures='kappa-depth')
        runs = set()
        for path in out.glob('*.csv'):
            with open(path, newline='', encoding='utf-8') as file:
                runs.update(row['run'] for row in csv.DictReader(file))
        self.assertEqual(len(runs), len(traces))
        self.assertEqual(runs - set(texts_of(out / 'kappa-depth.svg')), set())
        return runs


class NamesTest(CompareCase):
    def test_real_folders(self):
        """However the folder is given: as itself, ".", "x/.", its file alone, a link to it."""
        one, two = self.model('seed1/d12'), self.model('seed2/d12')
        (self.folder / 'link').symlink_to(one)
        first = {'whole': one, 'slash': f'{one}/', 'file': one / 'model_004800.pt', 'link': self.folder / 'link'}
        runs = [self.trace(name, path) for name, path in first.items()]
        for name, path, folder in (('dot', '.', one), ('dot-slash', './', one), ('up', 'd12/.', one.parent),
                                   ('alone', 'model_004800.pt', one), ('other', '../seed2/d12/.', one.parent)):
            runs.append(self.trace(name, path, cwd=folder))
        other = runs.pop()
        for run in runs:
            with self.subTest(run=run.name):
                self.assertEqual(self.names(run), {'d12'})
                self.assertEqual(self.names(run, other), {'seed1/d12', 'seed2/d12'})
        self.assertEqual(self.names(runs[0], *runs[4:6]), {'d12 · whole', 'd12 · dot', 'd12 · dot-slash'})

    def test_three_models_and_words_of_scripts(self):
        three = [self.model(f'{name}/модель é') for name in ('a', 'b', 'c')]
        runs = [self.trace(str(i), path) for i, path in enumerate(three)]
        self.assertEqual(self.names(*runs), {f'{name}/модель é' for name in ('a', 'b', 'c')})
        names = {path.name for path in self.plot(*runs, figures='kappa-tokens').iterdir()}
        self.assertIn('kappa-tokens-a-модель-é.svg', names)


class CaptionTest(CompareCase):
    def test_common_once_and_whole_items(self):
        scopes = ('2', '0.5', '3@2', '3@2:1', '3@3:1,5-7', '1.25@2,3:0', '0.125@*:1-3', '2.5@*:0-3,5-7')
        runs = [self.trace(str(i), MODEL, '--kappa-mul', scope) for i, scope in enumerate(scopes)]
        out = self.plot(*runs)
        lines = texts_of(out / 'kappa-depth.svg')
        caption = lines[1:lines.index(next(line for line in lines[1:] if line.startswith('d4-kappa · ')))]
        self.assertEqual(' '.join(caption).count('capacity factor'), 1)
        self.assertEqual(' '.join(caption).count('float32'), 1)
        narrow = texts_of(self.plot(*[self.trace(f'k{i}', MODEL, '--kappa', '1.5' if i % 2 else 'off', '--capacity',
                                                 f'{i + 1}@2', '--top-k', f'{i + 1}@3') for i in range(7)],
                                    figures='kappa-depth', words=('--width', '60')) / 'kappa-depth.svg')
        cut = [line for line in narrow if '…' in line]
        self.assertTrue(cut)
        self.assertTrue(all(re.search(r'… \(\d+ more\)|^d4-kappa', line) for line in cut), cut)

    def test_file_words_are_distinct_and_stable(self):
        edits = ('2@3', '2.3', '2@2:3', '2@2,3', '2@2-3:0,3')
        runs = {edit: self.trace(edit.replace(':', 'x'), MODEL, '--kappa-mul', edit) for edit in edits}
        stems = []
        for order in (list(runs.values()), list(reversed(runs.values()))):
            out = self.plot(*order, figures='kappa-experts')
            stems.append({path.stem for path in out.glob('*.svg')})
            self.assertEqual(len(stems[-1]), len(edits))
        self.assertEqual(stems[0], stems[1])
        self.assertEqual(stems[0], {f'kappa-experts-d4-kappa-kappa-mul-{word}' for word in (
            '2-at-3', '2p3', '2-at-2-expert3', '2-at-2_3', '2-at-2_3-expert0_3')})


class ConstantTest(CompareCase):
    """A model without learned κ and without a capacity, alone, with an intervention, beside one that has both."""

    def test_constant_is_shown_as_such(self):
        model = self.folder / 'hub'
        subprocess.run([str(BUILD / 'kappascope_make_model'), 'hub', str(model), '--hidden', '64', '--layers', '2', '--heads',
                        '2', '--kv-heads', '1', '--head-width', '16', '--experts', '8', '--slots', '2', '--gates', '32'],
                       check=True)
        plain = self.trace('plain', model)
        out = self.plot(plain, figures='kappa-parameters,silu-kappa')
        lines = texts_of(out / 'kappa-parameters.svg')
        self.assertIn('κ = 1, constant', lines[1])
        self.assertNotIn('capacity', lines[1])
        self.assertIn('no κ', ' '.join(lines))
        self.assertIn('κ = 1', texts_of(out / 'silu-kappa.svg'))
        lines = texts_of(self.plot(self.trace('set', model, '--kappa', '1.5'), figures='kappa-depth') / 'kappa-depth.svg')
        self.assertIn('κ = 1.5', lines[1])
        self.assertNotIn('learned', lines[1])
        lines = texts_of(self.plot(plain, self.trace('other', MODEL)) / 'loss.svg')
        names = [line for line in lines if '(mean' in line]
        self.assertEqual([name.split(' (')[0] for name in names], ['hub', 'd4-kappa'])


class CheckpointTest(CompareCase):
    def edited(self, **fields):
        model = self.model('edited')
        path = model / 'meta_004800.json'
        meta = json.loads(path.read_text())
        meta['model_config'].update(fields)
        path.write_text(json.dumps(meta))
        return model

    def test_two_rules_for_one_norm(self):
        model = self.edited(normalize_top_logits=True)
        self.assert_refused(4, 'info', model, says=('normalize_top_logits', 'kappa_input_logit_norm_exponent'))
        self.run_program('info', model, '--kappa-formula', '2026-06')
        shutil.rmtree(model)
        model = self.edited(top_logit_norm_exponent=0.25)
        self.assert_refused(4, 'info', model, says=('top_logit_norm_exponent', '0.25', '0.5'))
        shutil.rmtree(model)
        self.run_program('info', self.edited(normalize_top_logits=False, top_logit_norm_exponent=0.5))

    def test_experts_are_named_before_dense_layers(self):
        model = self.make_model('dense', '--dense-kappa', '--kappa-start', '0', '--moe-start', '2', '--layers', '4')
        out = self.run_program('info', model)[0]
        found = next(line for line in out.splitlines() if line.startswith('κ found'))
        self.assertRegex(found, r'from layer 0 on; in the experts of layer 2 kappa_bias \[\d+, ?\d+\].*'
                                r'; in the dense layer 0 kappa_bias \[\d+\]')


class TableTest(CompareCase):
    def test_norms_of_outputs_are_in_routing(self):
        out = self.trace('one', MODEL)
        with open(out / 'routing.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if row['expert_kept'] == '1' or row['expert_kept'] == 'true']
        self.assertTrue(kept and all(float(row['expert_output_norm']) > 0 for row in kept))


class BatchTest(CompareCase):
    def test_index_of_a_batch_in_which_every_text_fails(self):
        bad = [self.folder / name for name in ('a.txt', 'b.txt')]
        for path in bad:
            path.write_bytes(b'\xff\xfe\x00')
        out = self.folder / 'out'
        self.run_program('run', MODEL, '-f', *bad, self.folder / 'missing.txt', '-o', out, code=8)
        with open(out / 'index.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row['status'] for row in rows], ['failed'] * 3)
        self.assertTrue(all(row['error'] and row['folder'] for row in rows))
        self.assertEqual(sorted(path.name for path in out.iterdir()), ['batch.json', 'index.csv'])
        self.assertNotIn('sft_kappa', json.loads((out / 'batch.json').read_text())['settings'])
        bad[0].write_text('The tide came in.')
        bad[1].write_text('The sea.')
        self.run_program('run', MODEL, '-f', *bad, self.folder / 'missing.txt', '-o', out, '--skip-done', code=8)
        with open(out / 'index.csv', newline='', encoding='utf-8') as file:
            self.assertEqual([row['status'] for row in csv.DictReader(file)], ['done', 'done', 'failed'])


if __name__ == '__main__':
    main()
