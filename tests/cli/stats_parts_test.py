"""kappascope stats in parts: stopped and gone on with, and merged."""
import json
import random
import shutil
import signal
import time

from harness import MODEL, SOURCE, Case, main
from stats_corpus import CorpusMaker


class StatsParts(CorpusMaker, Case):
    def test_a_run_that_is_killed_goes_on_to_the_same_bytes(self):
        corpus = self.corpus(self.documents(300))
        out = self.folder / 'out'
        words = ('stats', MODEL, '--corpus', corpus, '-o', out, '--threads', 1)
        self.run_program(*words)
        whole = {name: (out / name).read_bytes() for name in ('stats.npz', 'stats.json', 'stats.csv')}
        for name in whole:
            (out / name).unlink()
        draw, killed = random.Random(4), 0
        for attempt in range(6):
            process, before = self.start(*words, '--resume'), self.saved_at(out)
            # However slow the machine is, every attempt comes further.
            self.wait_for(lambda: process.poll() is not None or self.saved_at(out) not in (before, None), 120)
            time.sleep(draw.uniform(0, 1))
            if attempt == 5:
                process.wait()
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL if attempt % 2 else signal.SIGTERM)
            process.wait()
            killed += 1
        self.assertEqual(process.returncode, 0, process.stderr.read())
        self.assertGreater(killed, 1)
        for name, bytes_ in whole.items():
            self.assertEqual((out / name).read_bytes(), bytes_, name)
        self.assertEqual([path.name for path in out.iterdir() if 'state' in path.name], [])

    @staticmethod
    def saved_at(out):
        try:
            return (out / 'stats.state').stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def steps_of(self, name):
        """The shipped model as two steps of one training."""
        folder = self.folder / name
        folder.mkdir()
        for step in (4800, 4900):
            for kind, end in (('model', 'pt'), ('meta', 'json')):
                shutil.copy(MODEL / f'{kind}_004800.{end}', folder / f'{kind}_{step:06}.{end}')
        shutil.copytree(SOURCE / 'assets' / 'tokenizer', folder / 'tokenizer')
        return folder

    def test_a_run_goes_on_with_what_it_began_with_alone(self):
        model, documents = self.steps_of('steps'), self.documents(300)
        corpus, out = self.corpus(documents), self.folder / 'out'
        words = ('stats', model, '--corpus', corpus, '-o', out, '--threads', 1)
        process = self.start(*words, '--step', 4800)
        self.wait_for(lambda: process.poll() is not None or self.saved_at(out) is not None, 120)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 130, process.stderr.read())
        _, err = self.run_program(*words, '--step', 4900, '--resume', code=2)
        self.assertIn('of a run with another model, corpus or other words', err)
        _, err = self.run_program(*words, '--resume', code=2)  # the newest step, as it is now
        self.assertIn('of a run with another model', err)
        for others in (documents[1:], ['other'] + documents[1:], documents[:1]):
            self.corpus(others)
            _, err = self.run_program(*words, '--step', 4800, '--resume', code=2)
            self.assertIn('stats.state: of a run that read other documents than the corpus has now', err)

    def test_parts_of_different_steps_are_not_merged(self):
        model = self.steps_of('steps')
        parts = []
        for step in (4800, 4900):
            parts.append(self.folder / str(step))
            corpus = self.corpus(self.documents(2, step), f'{step}.jsonl')
            self.run_program('stats', model, '--step', step, '--corpus', corpus, '-o', parts[-1], '--threads', 1)
        _, err = self.run_program('merge', *parts, '-o', self.folder / 'merged', code=4)
        self.assertIn('"step" is not as in ', err)

    def test_results_of_one_corpus_are_compared(self):
        corpus = self.corpus(self.documents(20))
        on, off = (self.stats(corpus, name, *words)[0] for name, words in (('on', ()), ('off', ('--kappa', 'off'))))
        out, page = self.folder / 'compared', self.folder / 'page.html'
        table, _ = self.run_program('compare', on, off, '-o', out)
        self.assertNotIn('intervals and tests need several', table)
        of_on, of_off, found = (json.loads(path.read_text())
                                for path in (on / 'stats.json', off / 'stats.json', out / 'compare.json'))
        self.assertEqual([run['tokens'] for run in found['runs']], [of_on['tokens']] * 2)
        self.assertEqual((found['resamples'], found['seed']), (200, 0))  # those of the results
        [side] = found['differences']
        for name, key in (('nll', 'nll_mean'), ('bits_per_byte', 'bits_per_byte')):
            self.assertAlmostEqual(side[name]['mean'], of_off[key] - of_on[key], 9)
        # Resamples of the same documents: the interval is far narrower than those of the two losses.
        width = side['nll']['high'] - side['nll']['low']
        self.assertTrue(side['nll']['low'] < side['nll']['mean'] < side['nll']['high'])
        self.assertLess(5 * width, of_on['nll_interval']['high'] - of_on['nll_interval']['low'])
        self.assertIsNone(side['nll']['sign']['p'])
        self.assertNotIn('routed_otherwise', side['layers'][0])
        for row, layer in enumerate(side['layers']):
            self.assertAlmostEqual(layer['statistics_difference']['load_cv']['mean'],
                                   of_off['layers'][row]['load_cv'] - of_on['layers'][row]['load_cv'], 9)
        self.assertIn('kappa-depth.svg', [path.name for path in (out / 'figures').iterdir()])
        self.run_program('report', on, off, '-o', page)
        self.assertTrue('interval over resamples of the corpus' in page.read_text())
        renamed = self.folder / 'renamed.npz'
        renamed.write_bytes((off / 'stats.npz').read_bytes())
        self.run_program('compare', on, renamed, '-o', self.folder / 'renamed', '--figures', 'none')
        part = self.stats(self.corpus(self.documents(3), 'part.jsonl'), 'part')[0]
        _, err = self.run_program('compare', on, part, '-o', self.folder / 'no', code=2)
        self.assertIn(f'expected the documents of {on / "stats.npz"} (20, ', err)
        self.run_program('run', MODEL, '-p', 'A text.', '-o', self.folder / 'run', '--figures', 'none')
        _, err = self.run_program('compare', on, self.folder / 'run', '-o', self.folder / 'no', code=2)
        self.assertIn(f'run: expected the result of a corpus, as {on}, found another', err)

    def test_a_document_over_several_calls_has_no_capacity(self):
        """Seats are of calls, and of an overlap only a part counts."""
        long = self.corpus([' '.join(self.documents(12, longest=700))])
        for words, there in (((), True), (('--window',), False)):
            out, _ = self.stats(long, f'out{len(words)}', *words)
            layers = json.loads((out / 'stats.json').read_text())['layers']
            self.assertEqual(['utility_mean' in layer for layer in layers], [there] * len(layers))
            for layer in layers:
                self.assertLessEqual(layer.get('utility_mean', 0), 1)
        self.assert_refused(2, 'stats', MODEL, '--corpus', long, '-o', self.folder / 'no', '--capacity', '1e17',
                            says='at most 1e6')

    def test_what_two_parts_have_in_common_is_said(self):
        half = self.corpus(self.documents(4), 'half.jsonl')
        parts = [self.stats(half, name)[0] for name in ('one', 'again')]
        _, err = self.run_program('merge', *parts, '-o', self.folder / 'merged')
        self.assertIn(f'{half} is in {parts[0] / "stats.npz"} and in {parts[1] / "stats.npz"}: documents that both '
                      'have read are counted twice', err)
        (self.folder / 'link').symlink_to(parts[0])
        _, err = self.run_program('merge', parts[0], self.folder / 'link', '-o', self.folder / 'no', code=2)
        self.assertIn('link/stats.npz: given twice; expected results of different documents', err)


if __name__ == '__main__':
    main()
