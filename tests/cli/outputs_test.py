"""What a run writes and where: files, batches, locks, what is replaced and what is not."""
import csv
import json
import os
import resource
import shutil

import numpy as np

from harness import MODEL, SOURCE, TEXTS, Case, files_under, main

ALL = ['model.npz', 'routing.csv', 'summary.json', 'tokens.csv', 'trace.npz']


class FilesTest(Case):
    def run_into(self, out, *words, code=0, **options):
        words += () if '--figures' in words else ('--figures', 'none')
        return self.run_program('run', MODEL, *words, '-o', out, code=code, **options)

    def test_all_files(self):
        out = self.folder / 'a' / 'b'
        table, err = self.run_into(out, '-p', 'The tide went out.')
        self.assertEqual(files_under(self.folder), ['a/b/' + name for name in ALL])
        with open(out / 'tokens.csv', newline='', encoding='utf-8') as file:
            tokens = list(csv.DictReader(file))
        trace = np.load(out / 'trace.npz', allow_pickle=False)
        self.assertEqual([int(row['token_id']) for row in tokens], trace['token_id'].tolist())
        summary = json.loads((out / 'summary.json').read_text())
        self.assertEqual(len(summary['layers']), 6)
        self.assertEqual(len(table.splitlines()), 1 + 2 + 6)
        self.assertIn('confidence', table)

    def test_formats(self):
        self.run_into(self.folder / 'csv', '-p', 'a', '--format', 'csv')
        self.assertEqual(files_under(self.folder / 'csv'), ['routing.csv', 'tokens.csv'])
        self.run_into(self.folder / 'both', '-p', 'a', '--format', 'json,npz')
        self.assertEqual(files_under(self.folder / 'both'), ['model.npz', 'summary.json', 'trace.npz'])

    def test_older_files_are_pointed_at(self):
        out = self.folder / 'out'
        self.assertNotIn('earlier', self.run_into(out, '-p', 'The tide')[1])
        self.assertNotIn('earlier', self.run_into(out, '-p', 'The sea')[1])
        said = self.run_into(out, '-p', 'The sand', '--format', 'csv')[1]
        self.assertIn('trace.npz, summary.json there: of an earlier run', said)
        self.run_into(out, '-p', 'The sand', '--against', 'off', '--figures', 'loss')
        said = self.run_into(out, '-p', 'The sea')[1]
        self.assertIn('effect.json, effect.csv, against/trace.npz, 1 file in figures/ there: of an earlier', said)

    def test_figures(self):
        out = self.folder / 'out'
        words = ('-p', 'The tide', '--format', 'json')
        self.run_into(out, *words, '--figures', 'loss,kappa-tokens', '--figure-format', 'pdf,csv')
        figures = ['figures/kappa-tokens.csv', 'figures/kappa-tokens.pdf', 'figures/loss.csv', 'figures/loss.pdf']
        self.assertEqual(files_under(out), figures + ['summary.json'])
        (out / figures[0]).write_text('my own numbers')
        self.assertIn('kappa-tokens.csv', self.run_into(out, *words, '--figures', 'all', '--figure-format', 'csv',
                                                        code=5)[1])
        self.assertEqual((out / figures[0]).read_text(), 'my own numbers')
        self.assertEqual(files_under(out), figures + ['summary.json'])
        self.run_into(out, *words, '--figures', 'kappa-tokens', '--figure-format', 'csv', '--force')
        self.assertIn('kappa', (out / figures[0]).read_text())
        for wrong in (('--figures', 'los'), ('--figures', 'loss', '--figure-format', 'gif')):
            self.run_into(out, *words, *wrong, code=2)

    def test_words_that_all_verbs_take(self):
        folder = self.copy_model()
        meta = next(folder.glob('meta_*.json'))
        document = json.loads(meta.read_text())
        document['model_config']['an_unknown_field'] = 1
        meta.write_text(json.dumps(document))
        for words in (('info', folder), ('tokens', folder, '-p', 'a'), ('run', folder, '-p', 'a')):
            self.assertEqual(self.run_program(*words, '-q')[1], '')
            said = [line for line in self.run_program(*words, '-v')[1].splitlines() if 'an_unknown_field' in line]
            self.assertEqual(len(said), 1, words)

    def test_plot(self):
        self.run_into(self.folder / 'run', '-p', 'The tide', '--format', 'npz')
        printed = self.run_program('plot', self.folder / 'run', '--figures', 'loss', '-o', self.folder / 'a' / 'b')[0]
        self.assertEqual(printed, f"{self.folder / 'a' / 'b' / 'loss.svg'}\n")
        both = [self.folder / 'run', self.folder / 'run' / 'trace.npz']
        self.run_program('plot', *both, '--figures', 'loss,kappa-depth', '-o', self.folder / 'two')
        self.assertEqual(files_under(self.folder / 'two'), ['kappa-depth.svg', 'loss.svg'])
        for code, words in ((2, (both[0], '--expert', '99')),
                            (2, (both[0], '--figures', 'none')), (5, (self.folder / 'absent',)),
                            (3, (SOURCE / 'README.md',)), (3, (self.folder / 'run' / 'model.npz',))):
            with self.subTest(words=words):
                self.run_program('plot', *words, '-o', self.folder / 'no', code=code)
                self.assertFalse((self.folder / 'no').exists())

    def test_plot_of_other_texts_and_models(self):
        a, b, out = self.folder / 'a', self.folder / 'b', self.folder / 'out'
        self.run_into(a, '-p', 'The tide went out.')
        self.run_program('run', SOURCE / 'assets' / 'd4-kappa', '-p', 'The sea', '-o', b, '--figures', 'none')
        self.run_program('plot', a, b, '--figures', 'loss', '--tokens', '1-3',
                         '--label', 'd8-kappa · “The tide went out.”=ours', '-o', out, '--figure-format', 'svg,csv')
        picture = (out / 'loss-tokens1-3.svg').read_text()
        self.assertIn('ours: step ', picture)
        self.assertNotIn('d8-kappa, “The tide went out.”: ', picture)
        with open(out / 'loss-tokens1-3-d8-kappa-The-tide-went-out.csv', newline='', encoding='utf-8') as file:
            self.assertEqual([row['token'] for row in csv.DictReader(file)], ['1', '2', '3'])

    def test_without_output_folder(self):
        table = self.run_program('run', MODEL, '-p', 'The tide', env=os.environ | {'TMPDIR': str(self.folder)})[0]
        self.assertIn('confidence', table)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_json(self):
        printed = self.run_into(self.folder / 'out', '-p', 'The tide', '--json', '-q')[0]
        self.assertEqual(json.loads(printed), [json.loads((self.folder / 'out' / 'summary.json').read_text())])
        self.assertEqual(self.run_into(self.folder / 'out', '-p', 'The tide', '-q')[0], '')

    def test_ids_are_what_run_feeds(self):
        text = TEXTS / 'scripts.txt'
        tokens = self.run_program('tokens', MODEL, '-f', '-', '--json', input=text.read_bytes())[0]
        (self.folder / 'ids.json').write_text(tokens)
        self.assertEqual(self.run_program('tokens', MODEL, '--ids', self.folder / 'ids.json', '--json')[0], tokens)
        self.run_into(self.folder / 'text', '-f', text, '--window')
        self.run_into(self.folder / 'ids', '--ids', self.folder / 'ids.json', '--window')
        by_text, by_ids = (np.load(self.folder / name / 'trace.npz') for name in ('text', 'ids'))
        self.assertEqual(by_text['token_id'].tolist(), json.loads(tokens)['token_id'])
        self.assertEqual(by_text['token_bytes_hex'].tolist(), json.loads(tokens)['token_bytes_hex'])
        for name in ('token_id', 'token_bytes_hex', 'nll', 'router_logits', 'kappa_mean'):
            np.testing.assert_array_equal(by_text[name], by_ids[name])

    def test_empty_text_is_bos_alone(self):
        self.run_into(self.folder / 'out', '-p', '')
        self.assertEqual(len(np.load(self.folder / 'out' / 'trace.npz')['token_id']), 1)

    def test_cutting(self):
        text = self.folder / 'long.txt'
        text.write_text('The tide came in and the tide went out again. ' * 40)
        self.run_into(self.folder / 'cut', '-f', text, '--max-tokens', 256)
        self.run_into(self.folder / 'window', '-f', text, '--window')
        cut, window = (np.load(self.folder / name / 'trace.npz') for name in ('cut', 'window'))
        self.assertEqual(len(cut['token_id']), 256)
        self.assertGreater(len(window['token_id']), 384)
        # Before the first cut, windows change nothing.
        np.testing.assert_array_equal(cut['router_logits'], window['router_logits'][:, :256])
        self.assertTrue(np.isfinite(window['nll'][1:]).all())
        meta = json.loads(str(window['kappascope_meta']))
        self.assertIn('128', json.dumps(meta))  # the second chunk begins half a window back

    def test_layers(self):
        self.run_into(self.folder / 'out', '-p', 'The tide', '--layers', '3-4,7')
        self.assertEqual(np.load(self.folder / 'out' / 'trace.npz')['layer_index'].tolist(), [3, 4, 7])

    def test_gates_and_logits(self):
        self.run_into(self.folder / 'out', '-p', 'The tide', '--record', 'gates', '--logits', '--layers', '2')
        trace = np.load(self.folder / 'out' / 'trace.npz')
        tokens = len(trace['token_id'])
        self.assertEqual(trace['gate_act'].shape, (1, tokens, 2, 224))
        self.assertEqual(trace['logits'].shape, (tokens, 2048))

    def test_batch(self):
        missing = self.folder / 'missing.txt'
        odd = self.folder / 'a b/ü?.txt'
        odd.parent.mkdir()
        odd.write_text('The tide')
        out = self.folder / 'out'
        table, err = self.run_into(out, '-f', TEXTS / 'code.txt', '-f', missing, '-f', odd, code=8)
        self.assertEqual(err.count('missing.txt'), 1, err)
        folders = sorted(path.name for path in out.iterdir() if path.is_dir())
        self.assertEqual([name[:4] for name in folders], ['001-', '003-'])
        self.assertEqual(folders[1], '003-ü?')
        self.assertEqual(files_under(out), sorted(
            ['batch.json', 'index.csv', 'model.npz'] + [f'{folder}/{name}' for folder in folders for name in ALL if name != 'model.npz']))
        self.run_into(self.folder / 'none', '-f', missing, '-f', missing, code=8)
        self.assertEqual(files_under(self.folder / 'none'), ['batch.json', 'index.csv'])
        summaries = json.loads(self.run_into(self.folder / 'two', '-f', odd, '-f', odd, '--json')[0])
        self.assertEqual([summary['document']['index'] for summary in summaries], [0, 1])

    def test_model_file_is_written_once(self):
        out = self.folder / 'out'
        self.run_into(out, '-p', 'The tide')
        before = (out / 'model.npz').stat()
        self.run_into(out, '-p', 'The sea')
        self.assertEqual((out / 'model.npz').stat().st_ino, before.st_ino)
        self.run_program('run', SOURCE / 'assets' / 'd4-kappa', '-p', 'The sea', '-o', out)
        self.assertNotEqual((out / 'model.npz').stat().st_ino, before.st_ino)

    def test_only_our_own_files_are_replaced(self):
        out = self.folder / 'out'
        out.mkdir()
        for name in ALL:
            with self.subTest(name=name):
                (out / name).write_text('mine')
                err = self.run_into(out, '-p', 'a', code=5)[1]
                self.assertIn(name, err)
                self.assertEqual(files_under(out), [name])
                self.assertEqual((out / name).read_text(), 'mine')
                (out / name).unlink()
        # What only speaks of us, or has a column of the same name, is not ours.
        (out / 'figures').mkdir()
        for name, text in (('tokens.csv', 'token_id,label\n1,my own\n'), ('routing.csv', 'expert_kept\n1\n'),
                           ('summary.json', '{"made with": "kappascope.summary/1"}'),
                           *((f'figures/loss.{end}', 'my plot of kappascope numbers')
                             for end in ('svg', 'pdf', 'eps', 'png', 'csv'))):
            with self.subTest(name=name):
                (out / name).write_text(text)
                words = ('--figures', 'loss', '--figure-format', 'svg,pdf,eps,png,csv')
                self.assertIn(name, self.run_into(out, '-p', 'a', *words, code=5)[1])
                self.assertEqual((out / name).read_text(), text)
                (out / name).unlink()
        words = ('-p', 'a', '--figures', 'loss', '--figure-format', 'svg,pdf,eps,png,csv')
        for _ in range(2):
            self.run_into(out, *words)
        shutil.rmtree(out)
        out.mkdir()
        (out / 'trace.npz').write_text('mine')
        self.run_into(out, '-p', 'a', '--force')
        self.run_into(out, '-p', 'a')
        self.assertEqual(files_under(out), ALL)
        shutil.rmtree(out)
        (out / 'tokens.csv').mkdir(parents=True)
        self.assertIn('folder', self.run_into(out, '-p', 'a', '--force', code=5)[1])

    def test_an_empty_name_of_a_folder_is_none(self):
        for verb in ('run', 'plot', 'compare', 'scan'):
            err = self.run_program(verb, MODEL, '-o', '', code=2)[1]
            self.assertIn("-o: expected a name, found ''", err)

    def test_places_that_cannot_be(self):
        (self.folder / 'file').write_text('x')
        for out in (self.folder / 'file', self.folder / 'file' / 'deeper'):
            self.run_into(out, '-p', 'a', code=5)
        self.assertEqual(files_under(self.folder), ['file'])

    def test_no_room(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        err = self.run_into(self.folder / 'out', '-p', 'The tide', code=5, preexec_fn=small_files)[1]
        self.assertEqual(err.count('\n'), 1, err)
        self.assertFalse((self.folder / 'out').exists())


class SameBytesTest(Case):
    def outputs(self, name, *words):
        """All files of a run in a folder of its own, called by the same words."""
        folder = self.folder / name
        folder.mkdir()
        self.run_program('run', MODEL, '-f', TEXTS / 'prose.txt', '-o', 'out', '--record', 'gates', '--logits',
                         *words, cwd=folder)
        return {file: (folder / 'out' / file).read_bytes() for file in files_under(folder / 'out')}

    def test_twice(self):
        first, second = self.outputs('first'), self.outputs('second')
        self.assertLessEqual({*ALL, 'figures/loss.svg'}, {*first})
        self.assertEqual([*first], [*second])
        for name in first:
            self.assertEqual(first[name], second[name], name)

    def test_threads(self):
        """What differs between one and two threads: the thread count in the meta, and last digits."""
        self.outputs('one', '--threads', 1), self.outputs('two', '--threads', 2)
        one, two = (np.load(self.folder / name / 'out' / 'trace.npz') for name in ('one', 'two'))
        self.assertEqual(one.files, two.files)
        for name in one.files:
            if name == 'kappascope_meta' or one[name].dtype.kind == 'U':
                continue
            if one[name].dtype.kind == 'f':
                np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-4, err_msg=name)
        differing = [name for name in one.files if not np.array_equal(one[name], two[name], equal_nan=(
            one[name].dtype.kind == 'f'))]
        print('differs between 1 and 2 threads:', ', '.join(differing))


class TerminalTest(Case):
    def on_terminal(self, *words, **variables):
        return self.run_on_terminal('run', MODEL, '-p', 'The tide', *words, **variables)

    def test_progress(self):
        shown = self.on_terminal()
        self.assertIn('loading weights', shown)
        self.assertTrue(shown.endswith('\r\033[K'), repr(shown[-80:]))
        self.assertEqual(self.on_terminal('-q'), '')
        self.assertEqual(self.on_terminal(TERM='dumb'), '')
        self.assertNotIn('\r', self.run_program('run', MODEL, '-p', 'The tide')[1])


class SelftestTest(Case):
    def test_shipped_numbers(self):
        report = self.run_program('selftest')[0]
        for quantity in ('router_logits', 'expert_weight', 'kappa_input', 'gate_kz_rms', 'nll', 'logits'):
            self.assertIn(quantity, report)

    def test_other_numbers(self):
        assets = self.folder / 'assets'
        shutil.copytree(SOURCE / 'assets', assets)
        file = assets / 'selftest' / 'prose.npz'
        arrays = dict(np.load(file))
        arrays['nll'][3] += 0.01
        np.savez(file, **arrays)
        report = self.run_program('selftest', code=1, env=os.environ | {'KAPPASCOPE_ASSETS': str(assets)})[0]
        self.assertRegex(report, r'nll .*prose, token 2 +FAILED')
        shutil.rmtree(assets / 'selftest')
        self.run_program('selftest', code=5, env=os.environ | {'KAPPASCOPE_ASSETS': str(assets)})


if __name__ == '__main__':
    main()
