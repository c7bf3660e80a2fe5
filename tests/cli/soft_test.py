"""Models with soft routing (SoftMoE): what is recorded, what a run may change, and what is refused."""
import csv
import json
import shutil

import numpy as np

from harness import SOURCE, Case, files_under, main

MODEL = SOURCE / 'tests' / 'golden' / 'data' / 'softmoe-temperature-cap'  # T = 1.5, τ = 0.24, cap ⌈1.5·k⌉
TOKENIZER = SOURCE / 'assets' / 'tokenizer'
TEXT = 'The tide came in, and the tide went out again before the moon rose over the harbour wall.'
SLOTS = ('kappa_input', 'kappa_mean', 'kappa_min', 'kappa_p95', 'gate_mean_abs', 'gate_kz_rms', 'expert_output_norm')


def soft_weights(logits, budget, temperature):
    """p of SPEC §3 by bisection: [T,E]."""
    r = logits.astype(np.float64) / temperature
    low, high = r.min(1, keepdims=True) - 60, r.max(1, keepdims=True) + 60

    def p(x):
        u = r - x
        return np.where(u < 0, .5 * np.exp(np.minimum(u, 0)), 1 - .5 * np.exp(-np.maximum(u, 0)))

    for _ in range(200):
        middle = (low + high) / 2
        right = p(middle).sum(1, keepdims=True) > budget
        low, high = np.where(right, middle, low), np.where(right, high, middle)
    return p(low)


class SoftTest(Case):
    def run_model(self, name, *words, model=MODEL, figures='none'):
        out = self.folder / name
        self.run_program('run', model, '-p', TEXT, '-o', out, '--tokenizer', TOKENIZER, '--figures', figures,
                         '--figure-format', 'csv', '-q', *words)
        arrays = dict(np.load(out / 'trace.npz', allow_pickle=False))
        arrays['meta'] = json.loads(str(arrays.pop('kappascope_meta')))
        arrays['summary'] = json.loads((out / 'summary.json').read_text())
        return arrays

    def assert_routing(self, trace, m, budget, temperature, threshold, cap=None):
        """Everything that follows from the logits of a layer, by the rule."""
        p = soft_weights(trace['router_logits'][m], budget, temperature)
        np.testing.assert_allclose(trace['soft_weight'][m], p, rtol=2e-6, atol=1e-9)
        self.assertAlmostEqual(trace['layer_budget'][m], budget, places=5)
        order = np.argsort(-p, axis=1, kind='stable')
        falling = np.take_along_axis(p, order, 1)
        run = (falling > threshold) & (falling >= (falling[:, cap - 1:cap] if cap else 0))
        slots = trace['expert_index'].shape[2]
        self.assertLessEqual(run.sum(1).max(), slots)
        np.testing.assert_array_equal(trace['expert_kept'][m], run[:, :slots])
        np.testing.assert_array_equal(trace['expert_index'][m], np.where(run, order, -1)[:, :slots])
        np.testing.assert_allclose(trace['expert_weight'][m], np.where(run, falling, 0)[:, :slots], rtol=2e-6)
        for name in SLOTS:
            if name == 'kappa_input' and not np.isfinite(trace[name]).any():
                continue  # the family has none
            np.testing.assert_array_equal(np.isfinite(trace[name][m]), run[:, :slots], err_msg=name)
        margin = np.abs(p - threshold).min(1)
        if cap:
            cut = (falling[:, cap] > threshold)
            margin = np.where(cut, np.minimum(margin, falling[:, cap - 1] - falling[:, cap]), margin)
            self.assertEqual(trace['summary']['layers'][m]['tokens_at_cap'], int(cut.sum()))
        np.testing.assert_allclose(trace['router_margin'][m], margin, rtol=1e-4, atol=2e-7)

    def budgets(self, trace):
        config = trace['meta']['model_config']
        self.assertAlmostEqual(sum(trace['layer_budget']), config['lapsum_budget_total'], places=5)
        return trace['layer_budget'].astype(np.float64)

    def test_a_run_records_what_the_rule_says(self):
        trace = self.run_model('out', figures='expert-budget,soft-weight,router-margin')
        self.assertEqual(trace['meta']['router_score'], 'lapsum')
        self.assertEqual(trace['meta']['router_margin_unit'], 'weight')
        self.assertEqual(trace['meta']['arrays']['router_margin']['unit'], 'weight')
        self.assertEqual([trace[name].dtype for name in ('soft_weight', 'layer_budget')], [np.float32, np.float32])
        self.assertEqual(trace['expert_index'].shape[2], trace['expert_kept'].sum(2).max())
        for m, budget in enumerate(self.budgets(trace)):
            self.assert_routing(trace, m, budget, 1.5, np.float32(0.24), cap=int(np.ceil(budget * 1.5)))
        self.assert_summary(trace)
        self.assert_figures(trace, self.folder / 'out' / 'figures')
        self.assertEqual([name for name in files_under(self.folder / 'out') if 'all-experts' in name], [])
        with open(self.folder / 'out' / 'routing.csv', newline='') as file:
            self.assertEqual(sum(row['expert_kept'] in ('1', 'true') for row in csv.DictReader(file)),
                             trace['expert_kept'].sum())

    def assert_summary(self, trace):
        summary, run = trace['summary'], trace['expert_kept'].sum(2)
        budgets = trace['layer_budget'].astype(np.float64)
        self.assertAlmostEqual(summary['budget_total'], budgets.sum(), places=5)
        self.assertAlmostEqual(summary['budget_last_third'], budgets[-1] / budgets.sum(), places=6)  # of three
        self.assertAlmostEqual(summary['experts_run_mean'], run.mean(), places=6)
        info = json.loads(self.run_program('info', MODEL, '--json')[0])
        experts, layers = info['experts'], len(budgets)
        one = info['parameters']['parts']['experts'] / experts / layers
        one += info['parameters']['parts']['kappa'] / experts / layers
        always = info['parameters']['total'] - one * experts * layers
        self.assertAlmostEqual(summary['active_parameters'], always + one * run.mean(1).sum(), delta=1)
        for layer, counts, budget in zip(summary['layers'], run, budgets):
            self.assertAlmostEqual(layer['budget'], budget, places=6)
            self.assertAlmostEqual(layer['experts_run']['mean'], counts.mean(), places=6)
            self.assertAlmostEqual(layer['experts_run']['p95'], np.quantile(counts, .95), places=6)
            self.assertEqual(layer['drop_rate'], 0)

    def assert_figures(self, trace, folder):
        with open(folder / 'expert-budget.csv', newline='') as file:
            rows = list(csv.DictReader(file))
        np.testing.assert_allclose([float(row['budget']) for row in rows], trace['layer_budget'], rtol=1e-6)
        np.testing.assert_allclose([float(row['experts_run_mean']) for row in rows],
                                   trace['expert_kept'].sum(2).mean(1), rtol=1e-6)
        depth = trace['layer_index'] / (trace['meta']['n_layer'] - 1)
        np.testing.assert_allclose([float(row['relative_depth']) for row in rows], depth, rtol=1e-6)
        with open(folder / 'soft-weight.csv', newline='') as file:
            rows = list(csv.DictReader(file))
        m = list(trace['layer_index']).index(int(rows[0]['layer']))
        np.testing.assert_allclose([float(row['soft_weight']) for row in rows],
                                   trace['soft_weight'][m].T.ravel(), rtol=1e-6)
        self.assertEqual(sum(row['chosen'] == '1' for row in rows), trace['expert_kept'][m].sum())

    def test_interventions_change_budget_threshold_and_temperature(self):
        base = self.run_model('base')
        first, budgets = base['layer_index'][0], self.budgets(base)
        cap = int(np.ceil(budgets[0] * 1.5))
        trace = self.run_model('budget', '--budget', f'2.5@{first}')
        self.assert_routing(trace, 0, 2.5, 1.5, np.float32(0.24), cap=int(np.ceil(2.5 * 1.5)))
        np.testing.assert_array_equal(trace['layer_budget'][1:], base['layer_budget'][1:])
        self.assertEqual(trace['meta']['interventions'], [f'budget=2.5@{first}'])
        self.assert_routing(self.run_model('threshold', '--threshold', 0.05), 0, budgets[0], 1.5, 0.05, cap)
        self.assert_routing(self.run_model('temperature', '--temperature', 0.5), 0, budgets[0], 0.5,
                            np.float32(0.24), cap)
        none = self.run_model('none', '--threshold', 0.99)  # no weight is above it
        self.assertEqual((none['expert_index'].shape[2], none['expert_kept'].any()), (1, False))
        self.assertTrue((none['expert_index'] == -1).all() and np.isfinite(none['nll'][1:]).all())
        self.assertEqual(none['summary']['layers'][0]['no_expert_rate'], 1)
        effect = self.folder / 'effect'
        self.run_program('run', MODEL, '-p', TEXT, '-o', effect, '--tokenizer', TOKENIZER, '--figures', 'none', '-q',
                         '--budget', '1', '--against', 'none')
        self.assertIn('budget', json.loads((effect / 'effect.json').read_text())['layers'][0]['statistics_difference'])

    def test_budgets_are_shown_over_steps(self):
        steps = self.folder / 'steps'
        shutil.copytree(MODEL, steps)
        weights, meta = sorted(steps.glob('model_*.pt'))[0], sorted(steps.glob('meta_*.json'))[0]
        shutil.copy(weights, steps / 'model_000007.pt')
        shutil.copy(meta, steps / 'meta_000007.json')
        out = self.folder / 'series'
        self.run_program('compare', steps, '--step', 'all', '-p', TEXT, '--tokenizer', TOKENIZER, '-o', out, '-q',
                         '--figures', 'step-series', '--figure-format', 'csv')
        tables = sorted((out / 'figures').glob('step-series-*.csv'))
        self.assertEqual(len(tables), 2)
        total = json.loads(meta.read_text())['model_config']['lapsum_budget_total']
        for table in tables:
            with open(table, newline='') as file:
                self.assertAlmostEqual(sum(float(row['budget']) for row in csv.DictReader(file)), total, places=4)

    def test_a_figure_says_the_rule_of_its_layer(self):
        for word, says in (('0.2@2', 'The best one runs'), ('0.2', 'Those above 0.2 run')):
            out = self.folder / f'rule{word}'
            self.run_program('run', SOURCE / 'assets' / 'd6-softmoe', '-p', TEXT, '-o', out, '-q', '--threshold', word,
                             '--figures', 'soft-weight')
            figure = (out / 'figures' / 'soft-weight.svg').read_text()
            self.assertIn(', layer 4<', figure)
            self.assertIn(says, figure)

    def test_what_soft_routing_has_not_is_refused(self):
        text = ('-p', TEXT, '-o', self.folder / 'out', '--tokenizer', TOKENIZER)
        np.save(self.folder / 'routes.npy', np.zeros((27, 3, 2), np.int32))
        for words in (('--top-k', '1'), ('--capacity', '2'), ('--no-capacity',), ('--route', '1:0:2'),
                      ('--routes', self.folder / 'routes.npy'), ('--ablate', '1:0:reroute'),
                      ('--compare-routes', self.folder / 'routes.npy')):
            self.assert_refused(4, 'run', MODEL, *text, *words, says='soft routing')
        self.assert_refused(4, 'run', MODEL, *text, '--budget', '8', says='layer 1 has 8 experts')
        self.assert_refused(4, 'run', MODEL, *text, '--budget', '1@0', says='no soft routing')
        for word in ('--budget=0', '--budget=nan', '--threshold=1', '--threshold=-0.1', '--temperature=0'):
            self.assert_refused(2, 'run', MODEL, *text, word)
        for word in ('--budget=1', '--threshold=0.1', '--temperature=2'):
            self.assert_refused(4, 'run', SOURCE / 'assets' / 'd4-kappa', '-p', TEXT, '-o', self.folder / 'out', word,
                                says='no soft routing')
        self.run_model('ablated', '--ablate', '1:0,1:mean', '--ablate', '2:3')

    def changed(self, **fields):
        folder = self.folder / 'changed'
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(MODEL, folder)
        path = folder / 'meta_000150.json'
        meta = json.loads(path.read_text())
        for name, value in fields.items():
            if value is None:
                del meta['model_config'][name]
            else:
                meta['model_config'][name] = value
        path.write_text(json.dumps(meta))
        return folder

    def test_a_configuration_is_checked(self):
        for code, fields in ((3, {'lapsum_budget_total': None}), (3, {'lapsum_threshold': None}),
                             (4, {'lapsum_budget_total': 2.9}), (4, {'lapsum_budget_total': 10}),
                             (4, {'lapsum_temperature': 0}), (4, {'lapsum_expansion': 0}),
                             (4, {'lapsum_threshold_scale': -1}), (4, {'router_type': 'lapsum2'}),
                             (4, {'use_aux_free_load_balancing': True})):
            name = next(iter(fields))
            self.assert_refused(code, 'info', self.changed(**fields), says=name)
        scaled = self.changed(lapsum_threshold=None, lapsum_threshold_scale=1.2)
        out = self.run_program('info', scaled, '--json')[0]
        self.assertEqual(json.loads(out)['soft_routing']['threshold_scale'], 1.2)
        trace = self.run_model('scaled', model=scaled)
        best = trace['expert_kept'][:, :, 0]
        self.assertTrue(best.all())  # at least one runs
        shown = self.run_program('info', MODEL)[0]
        self.assertIn('soft, total budget 6', shown)
        self.assertIn('soft routing with budget', shown)

    def test_many_experts_two_passes_and_gates(self):
        model = self.make_model('many', '--experts', 64, '--layers', 4, '--passes', 2, '--soft-budget', 12,
                                '--vocab', 2048, '--sequence', 128, '--kappa-input', 'router_probs')
        trace = self.run_model('gates', '--record', 'gates', '--layers', '1,3', model=model)
        self.assertEqual(list(trace['layer_index']), [1, 3, 1, 3])
        slots = trace['expert_kept'].sum(2).max()
        self.assertEqual(trace['kappa'].shape[:3], trace['expert_index'].shape)
        self.assertEqual(trace['expert_index'].shape[2], slots)
        self.assertLess(slots, 64)
        np.testing.assert_array_equal(np.isfinite(trace['gate_act'][..., 0]), trace['expert_kept'])
        kept = trace['expert_kept']
        np.testing.assert_allclose(trace['gate_act'][kept].astype(float).__abs__().mean(1), trace['gate_mean_abs'][kept],
                                   rtol=1e-4)
        np.testing.assert_allclose(trace['kappa_input'][kept], 2 * trace['expert_weight'][kept], rtol=1e-6)
        self.assertNotIn('active_parameters', trace['summary'])  # a layer was not recorded
        for m in range(4):
            self.assert_routing(trace, m, float(trace['layer_budget'][m]), 1, np.float32(0.2))
        again = self.run_model('again', '--record', 'gates', '--layers', '1,3', model=model)
        self.assertEqual((self.folder / 'gates' / 'trace.npz').stat().st_size,
                         (self.folder / 'again' / 'trace.npz').stat().st_size)
        for name in ('expert_index', 'gate_act', 'nll'):
            np.testing.assert_array_equal(trace[name], again[name])


if __name__ == '__main__':
    main()
