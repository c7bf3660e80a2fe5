"""`kappascope compare`: the same texts on several models, traces, steps and sides; every number again with NumPy."""
import csv
import itertools
import json
import math
import re
import shutil

import numpy as np

import torch_files
from harness import MODEL, SOURCE, TEXTS, Case, files_under, main

SMALL = SOURCE / 'assets' / 'd4-kappa'
WEIGHTS, META = 'model_004800.pt', 'meta_004800.json'
TEXT = 'The tide came in and went out again, and the boats stood on the sand.'
MASK = (1 << 64) - 1


def intervals(above, below, count, seed):
    """2.5 and 97.5 % of Σ above / Σ below over resamples of the texts, as docs/metrics.md says."""
    above, below = np.array(above), np.array(below)
    state, ratios = seed, []
    for _ in range(count):
        picks = []
        for _ in above:
            state = (state + 0x9E3779B97F4A7C15) & MASK
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            picks.append(int(((z ^ (z >> 31)) >> 11) * 2.0 ** -53 * len(above)))
        ratios.append(above[picks].sum() / below[picks].sum())
    return np.percentile(ratios, [2.5, 97.5])


def sign_p(values):
    positive, n = sum(v > 0 for v in values), sum(v != 0 for v in values)
    tail = sum(math.comb(n, k) for k in range(min(positive, n - positive) + 1)) / 2 ** n
    return min(1, 2 * tail)


def wilcoxon_p(values):
    """Exact, of values of different sizes: every sign tried."""
    order = np.argsort(np.abs(values))
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    total = ranks.sum()
    least = min(ranks[np.array(values) > 0].sum(), total - ranks[np.array(values) > 0].sum())
    sums = [sum(r for r, s in zip(ranks, signs) if s) for signs in itertools.product((0, 1), repeat=len(values))]
    return min(1, 2 * np.mean(np.array(sums) <= least))


class Trace:
    def __init__(self, folder):
        self.arrays = np.load(folder / 'trace.npz')
        self.nll = self.arrays['nll'].astype(np.float64)
        self.bytes = sum(len(text) // 2 for text, start in
                         zip(self.arrays['token_bytes_hex'], self.arrays['char_start']) if start >= 0)

    def chosen(self, row):
        return [frozenset(experts[experts >= 0]) for experts in self.arrays['expert_index'][row]]

    def load(self, row):
        index = self.arrays['expert_index'][row]
        return np.bincount(index[index >= 0], minlength=self.arrays['router_logits'].shape[2])


class ComparisonCase(Case):
    def setUp(self):
        super().setUp()
        shutil.copytree(SOURCE / 'assets' / 'tokenizer', self.folder / 'tokenizer')

    def compare(self, *words, **options):
        out = self.folder / 'out'
        self.run_program('compare', *words, '-o', out, '-q', **options)
        return json.loads((out / 'compare.json').read_text()), out

    def run_text(self, name, model, *words):
        out = self.folder / name
        self.run_program('run', model, '-o', out, '-q', '--figures', 'none', *words)
        return out

    def changed(self, name, seed, scale=0.02, step=4800):
        """The small model with its weights shaken a little."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        state = torch_files.load(SMALL / WEIGHTS)
        random = np.random.default_rng(seed)
        for key, value in state.items():
            if value.dtype == np.float32 and value.size > 1:
                noise = random.standard_normal(value.shape).astype(np.float32)
                state[key] = value + np.float32(scale) * value.std() * noise
        torch_files.save(folder / f'model_{step:06}.pt', state)
        meta = json.loads((SMALL / META).read_text()) | {'step': step}
        (folder / f'meta_{step:06}.json').write_text(json.dumps(meta))
        return folder


class ModelsTest(ComparisonCase):
    def test_texts_on_two_models(self):
        found, out = self.compare(MODEL, SMALL, '-f', TEXTS, '--figure-format', 'svg,csv')
        large = [Trace(self.run_text(f'a{i}', MODEL, '-f', text)) for i, text in enumerate(sorted(TEXTS.iterdir()))]
        small = [Trace(self.run_text(f'b{i}', SMALL, '-f', text)) for i, text in enumerate(sorted(TEXTS.iterdir()))]
        self.assertEqual([run['run'] for run in found['runs']], ['d8-kappa (n_layer 8)', 'd4-kappa (n_layer 4)'])
        self.assertEqual(found['fields'], [{'name': 'n_layer', 'values': ['8', '4']}])
        [pair] = found['differences']
        self.assertEqual((pair['of'], pair['against']), (['d4-kappa (n_layer 4)'], ['d8-kappa (n_layer 8)']))
        sums = [np.nansum(s.nll - l.nll) for s, l in zip(small, large)]
        tokens = [np.isfinite(s.nll).sum() for s in small]
        sizes = [s.bytes for s in small]
        np.testing.assert_allclose(pair['nll']['of_text'], np.array(sums) / tokens, rtol=1e-6)
        np.testing.assert_allclose(pair['nll']['mean'], sum(sums) / sum(tokens), rtol=1e-6)
        np.testing.assert_allclose(pair['bits_per_byte']['mean'], sum(sums) / math.log(2) / sum(sizes), rtol=1e-6)
        low, high = intervals(sums, tokens, found['resamples'], found['seed'])
        np.testing.assert_allclose([pair['nll']['low'], pair['nll']['high']], [low, high], rtol=1e-6)
        self.assertAlmostEqual(pair['nll']['sign']['p'], sign_p(sums))
        self.assertAlmostEqual(pair['nll']['wilcoxon']['p'], wilcoxon_p(pair['nll']['of_text']))
        self.assertIn('8 and 4 layers', pair['layers_not_compared'].replace('4 and 8', '8 and 4'))
        self.check_pooled(found['runs'][1], small)
        self.assertIn('figures/kappa-depth.svg', files_under(out))
        legend = (out / 'figures' / 'kappa-depth.svg').read_text()
        self.assertIn('d8-kappa', legend)

    def check_pooled(self, run, traces):
        """Statistics over all texts are those of their tokens together."""
        for row, layer in enumerate(run['layers']):
            load = sum(trace.load(row) for trace in traces)
            np.testing.assert_allclose(layer['statistics']['load_cv'], load.std() / load.mean(), rtol=1e-9)
            kept = [trace.arrays['expert_kept'][row] for trace in traces]
            kappa = np.concatenate([trace.arrays['kappa_mean'][row][k] for trace, k in zip(traces, kept)])
            np.testing.assert_allclose(layer['statistics']['kappa.mean'], kappa.astype(np.float64).mean(), rtol=1e-5)
            count = sum(trace.arrays['effect_count'][row].sum() for trace in traces)
            effect = sum(np.nansum(trace.arrays['effect_count'][row] * trace.arrays['effect_mean'][row])
                         for trace in traces) / count
            np.testing.assert_allclose(layer['statistics']['effect.mean'], effect, rtol=1e-9)

    def test_sides_of_seeds(self):
        first = [self.changed(f'a{seed}', seed) for seed in (1, 2)]
        second = [self.changed(f'b{seed}', seed, scale=0.2) for seed in (3, 4)]
        found, _ = self.compare(*first, '--against', *second, '-f', *sorted(TEXTS.iterdir()), '--figures', 'none')
        runs = {folder.name: [Trace(self.run_text(f'{folder.name}-{i}', folder, '-f', text))
                              for i, text in enumerate(sorted(TEXTS.iterdir()))] for folder in first + second}
        [sides] = found['differences']
        self.assertEqual(len(sides['of']), 2)
        mean = lambda folders, d: np.mean([np.nansum(runs[folder.name][d].nll) for folder in folders])
        sums = [mean(first, d) - mean(second, d) for d in range(len(sides['nll']['of_text']))]
        tokens = [np.isfinite(trace.nll).sum() for trace in runs['a1']]
        np.testing.assert_allclose(sides['nll']['of_text'], np.array(sums) / tokens, rtol=1e-5)
        pairs = [sum(np.nansum(x.nll - y.nll) for x, y in zip(runs[a.name], runs[b.name])) / sum(tokens)
                 for a, b in zip(first, second)]
        np.testing.assert_allclose(sides['nll_of_pairs']['of_text'], pairs, rtol=1e-5)
        statistic = sides['layers'][0]['statistics_difference']['load_cv']
        cv = lambda trace: trace.load(0).std() / trace.load(0).mean()
        expected = [np.mean([cv(runs[f.name][d]) for f in first]) - np.mean([cv(runs[f.name][d]) for f in second])
                    for d in range(len(sums))]
        np.testing.assert_allclose(statistic['of_text'], expected, atol=1e-9)
        np.testing.assert_allclose(statistic['mean'], np.mean(expected), atol=1e-9)
        # What follows from the weights alone: texts are no sample of it.
        alignment = sides['layers'][0]['statistics_difference']['alignment_mean']
        self.assertEqual(len(set(alignment['of_text'])), 1)
        self.assertAlmostEqual(alignment['mean'], alignment['of_text'][0])
        self.assertEqual([alignment['low'], alignment['sign']['p'], alignment['wilcoxon']['p']], [None] * 3)


class TracesTest(ComparisonCase):
    def test_two_traces_of_one_text(self):
        on = self.run_text('on', MODEL, '-p', TEXT)
        off = self.run_text('off', MODEL, '-p', TEXT, '--kappa', 'off')
        found, out = self.compare(on, off / 'trace.npz', '--figure-format', 'svg,csv')
        a, b = Trace(off), Trace(on)
        [pair] = found['differences']
        np.testing.assert_allclose(pair['nll']['mean'], np.nanmean(a.nll - b.nll), rtol=1e-6)
        self.assertIsNone(pair['nll']['low'])  # one text
        tie = json.loads(str(b.arrays['kappascope_meta']))['near_tie']
        with open(out / 'figures' / 'routing-change.csv', newline='', encoding='utf-8') as file:
            drawn = np.array([float(row['routed']) for row in csv.DictReader(file)]).reshape(len(pair['layers']), -1)
        for row, layer in enumerate(pair['layers']):
            other = np.array([x != y for x, y in zip(a.chosen(row), b.chosen(row))])
            near = other & (b.arrays['router_margin'][row] < tie)
            self.assertEqual(layer['routed_otherwise'], other.sum())
            self.assertEqual(layer['routed_otherwise_near_ties'], near.sum())
            self.assertEqual(layer['routing_compared'], len(other))
            np.testing.assert_array_equal(drawn[row], other.astype(int) + near)
            summaries = [json.loads((run / 'summary.json').read_text())['layers'][row] for run in (off, on)]
            for name, one in layer['statistics_difference'].items():
                values = [summary[name] if name in summary else summary[name.split('.')[0]][name.split('.')[1]]
                          for summary in summaries]
                np.testing.assert_allclose(one['mean'], values[0] - values[1], rtol=1e-9, atol=1e-12, err_msg=name)
        self.assertGreater(sum(layer['routed_otherwise'] for layer in pair['layers']), 0)
        self.check_tables(found, out)

    def check_tables(self, found, out):
        with open(out / 'compare.csv', newline='', encoding='utf-8') as file:
            values = {(row['run'], row['layer'], row['statistic']): row['value'] for row in csv.DictReader(file)}
        for run in found['runs']:
            self.assertEqual(float(values[run['run'].replace('%', '\\u0025'), '', 'nll_mean']), run['nll_mean'])
            for layer in run['layers']:
                for name, value in layer['statistics'].items():
                    self.assertEqual(float(values[run['run'], str(layer['layer']), name]), value)
        with open(out / 'compare-differences.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(float(rows[0]['difference']), found['differences'][0]['nll']['mean'])

    def test_the_same_bytes_again(self):
        on = self.run_text('on', SMALL, '-p', TEXT)
        off = self.run_text('off', SMALL, '-p', TEXT, '--kappa', 'off')
        self.compare(on, off, '--figure-format', 'svg,csv')
        (self.folder / 'out').rename(self.folder / 'before')
        _, out = self.compare(on, off, '--figure-format', 'svg,csv')
        self.assertEqual(files_under(out), files_under(self.folder / 'before'))
        for name in files_under(out):
            self.assertEqual((out / name).read_bytes(), (self.folder / 'before' / name).read_bytes(), name)
        self.compare(on, off, '--figures', 'none')  # in the place of its own files

    def test_a_model_beside_a_trace(self):
        off = self.run_text('off', SMALL, '-p', TEXT, '--kappa', 'off')
        found, out = self.compare(SMALL, off, '-p', TEXT, '--figures', 'kappa-depth')
        self.assertEqual([path.name for path in (out / 'figures').iterdir()], ['kappa-depth.svg'])  # what was asked for
        own = self.run_text('own', SMALL, '-p', TEXT)
        found, _ = self.compare(SMALL, own, '-p', TEXT, '--figures', 'none')
        self.assertEqual([run['run'] for run in found['runs']], ['d4-kappa · run now', 'd4-kappa · own'])
        _, err = self.run_program('compare', SMALL, off, '-p', 'another', '-o', self.folder / 'no', code=2)
        self.assertIn(f'off: no trace of the text of {SMALL}; expected the same texts', err)

    def test_difference_map(self):
        on = self.run_text('on', SMALL, '-p', TEXT)
        mul = self.run_text('mul', SMALL, '-p', TEXT, '--kappa-mul', '2@2')
        _, out = self.compare(on, mul, '--figure-format', 'csv')
        with open(out / 'figures' / 'kappa-experts-difference.csv', newline='', encoding='utf-8') as file:
            rows = [row for row in csv.DictReader(file) if row['layer'] == '2']
        self.assertGreater(len(rows), 3)
        for row in rows:
            if row['kappa_geometric_mean_ratio']:
                self.assertAlmostEqual(float(row['kappa_geometric_mean_ratio']), 2, places=4)


class StepsTest(ComparisonCase):
    def test_series(self):
        folder = self.changed('model', 1, scale=0.5, step=100)
        self.changed('model', 2, scale=0.1, step=200)
        for name in (WEIGHTS, META):
            shutil.copy(SMALL / name, folder)
        for path in folder.glob('meta_*.json'):
            meta = json.loads(path.read_text())
            meta['user_config'] = {'kappa_delay_start_min_iterations': 50, 'num_iterations': 1000,
                                   'kappa_slope_max_scale_warmup_iteration_frac': 0.1}
            path.write_text(json.dumps(meta))
        found, out = self.compare(folder, '--step', 'all', '-p', TEXT, '--figure-format', 'svg,csv')
        self.assertEqual([run['step'] for run in found['runs']], [100, 200, 4800])
        traces = {step: Trace(self.run_text(f'step{step}', folder, '-p', TEXT, '--step', step))
                  for step in (100, 200, 4800)}
        last = traces[4800]
        for path in (out / 'figures').glob('step-series-*.csv'):
            with open(path, newline='', encoding='utf-8') as file:
                for row, line in enumerate(csv.DictReader(file)):
                    step = int(line['step'])
                    now = traces[step].chosen(row)
                    kept = sum(len(now[t] & after) for t, after in enumerate(last.chosen(row)))
                    expected = kept / sum(map(len, last.chosen(row)))
                    self.assertAlmostEqual(float(line['router_saturation']), expected)
                    self.assertEqual(line['in_warm_up'], 'true' if step < 150 else 'false')
        notes = ' '.join(re.findall(r'>([^<>]+)</text>', (out / 'figures' / 'step-series.svg').read_text()))
        self.assertIn('1 step is inside the warm-up of U', notes)
        two, _ = self.compare(folder, '--step', '200,4800', '-p', TEXT, '--figures', 'none')
        self.assertEqual(len(two['runs']), 2)


class WeightsTest(ComparisonCase):
    def test_tensor_by_tensor(self):
        other = self.changed('other', 5)
        state = torch_files.load(other / WEIGHTS)
        a, b = torch_files.load(SMALL / WEIGHTS), state
        out = self.folder / 'out'
        self.run_program('compare', '--weights', SMALL, other, '-o', out, '-q')
        found = json.loads((out / 'weights.json').read_text())
        rows = {row['tensor']: row for row in found['tensors']}
        xs, ys = [], []
        for name, row in rows.items():
            if row['presence'] != 'both':
                continue
            x, y = (np.asarray(s[name], np.float64).ravel() for s in (a, b))
            xs.append(x)
            ys.append(y)
            self.check_change(row, x, y)
        self.assertGreater(len(xs), 20)
        self.check_change(found['whole'], np.concatenate(xs), np.concatenate(ys))
        with open(out / 'weights.csv', newline='', encoding='utf-8') as file:
            self.assertEqual({row['tensor'] for row in csv.DictReader(file)}, set(rows))
        self.run_program('compare', '--weights', MODEL, SMALL, '-o', out, '-q')
        found = {row['tensor']: row['presence'] for row in json.loads((out / 'weights.json').read_text())['tensors']}
        self.assertEqual(found['transformer.h.7.attn.c_q.weight'], 'missing')
        self.assertEqual(set(found.values()), {'both', 'missing', 'shape'})

    def check_change(self, row, x, y):
        self.assertEqual(row['elements'], x.size)
        with np.errstate(invalid='ignore', divide='ignore'):
            expected = [x @ y / (np.linalg.norm(x) * np.linalg.norm(y)), np.linalg.norm(y - x) / np.linalg.norm(x),
                        np.abs(y - x).max()]
        found = [row[key] if row[key] is not None else np.nan for key in ('cosine', 'relative_change', 'most_change')]
        expected = [value if np.isfinite(value) else np.nan for value in expected]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        self.assertEqual(row['sign_flips'], ((x > 0) & (y < 0) | (x < 0) & (y > 0)).sum())


class ErrorsTest(ComparisonCase):
    def test_words(self):
        on = self.run_text('on', SMALL, '-p', TEXT)
        other = self.run_text('other', SMALL, '-p', 'Another text.')
        out = ('-o', self.folder / 'out')
        self.assert_refused(2, 'compare', MODEL, '-p', TEXT, *out, says='two runs')
        self.assert_refused(2, 'compare', MODEL, SMALL, *out, says='-p')
        self.assert_refused(2, 'compare', on, on, '-p', TEXT, *out, says='their own texts')
        self.assert_refused(2, 'compare', on, other, *out, says='expected the same texts')
        self.assert_refused(2, 'compare', MODEL, SMALL, '-p', TEXT, '--weights', *out, says='no text')
        self.assert_refused(2, 'compare', SMALL, '--step', 'x', '-p', TEXT, *out, says='--step')
        self.assert_refused(5, 'compare', SMALL, '--step', '1,4800', '-p', TEXT, *out)
        self.assert_refused(5, 'compare', SMALL, self.folder / 'absent', '-p', TEXT, *out)
        broken = self.folder / 'broken.npz'
        broken.write_bytes((on / 'trace.npz').read_bytes()[:5000])
        self.assert_refused(3, 'compare', on, broken, *out)


if __name__ == '__main__':
    main()
