"""What a run changes in a model, and every number that must show it."""
import csv
import json

import numpy as np

import torch_files
from harness import SOURCE, Case, main

MODEL = SOURCE / 'assets' / 'd4-kappa'
WEIGHTS, META = 'model_003490.pt', 'meta_003490.json'
TEXT = 'The tide came in, and the tide went out again before the moon rose over the harbour wall.'


class InterventionTest(Case):
    def trace(self, name, *words, model=MODEL, figures='none'):
        out = self.folder / name
        self.run_program('run', model, '-p', TEXT, '-o', out, '--record', 'gates', '-q', '--figures', figures,
                         '--figure-format', 'csv', *words)
        arrays = dict(np.load(out / 'trace.npz', allow_pickle=False))
        arrays['meta'] = json.loads(str(arrays.pop('kappascope_meta')))
        arrays['summary'] = json.loads((out / 'summary.json').read_text())
        return arrays

    def assert_same(self, ours, theirs, names):
        for name in names:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)

    def test_factor_on_one_expert_is_in_every_kappa(self):
        """κ := 2κ of one expert of the first layer with experts, whose routing it cannot change."""
        base, layer = self.trace('base', figures='kappa-experts'), 0
        expert = int(np.bincount(base['expert_index'][0][base['expert_kept'][0]]).argmax())
        where = f'{base["layer_index"][layer]}:{expert}'
        edited = self.trace('edited', '--kappa-mul', f'2@{where}', figures='kappa-experts')
        self.assertEqual(edited['meta']['interventions'], [f'kappa-mul=2@{where}'])
        self.assert_same(edited, base, ['token_id', 'kappa_input'] if len(base['layer_index']) == 1 else ['token_id'])
        np.testing.assert_array_equal(edited['kappa_input'][layer], base['kappa_input'][layer])
        np.testing.assert_array_equal(edited['gate_pre'][layer], base['gate_pre'][layer])
        hit = (base['expert_index'][layer] == expert) & base['expert_kept'][layer]
        self.assertTrue(hit.any() and not hit.all())
        for name in ('kappa_mean', 'kappa_min', 'kappa_max', 'kappa_p05', 'kappa_p95', 'kappa'):
            np.testing.assert_allclose(edited[name][layer][hit], 2 * base[name][layer][hit], rtol=1e-5, err_msg=name)
            np.testing.assert_array_equal(edited[name][layer][~hit], base[name][layer][~hit], err_msg=name)
        np.testing.assert_allclose(edited['gate_kz_rms'][layer][hit], 2 * base['gate_kz_rms'][layer][hit], rtol=1e-5)
        bound = np.log(np.load(self.folder / 'base' / 'model.npz')['kappa_u'][base['layer_index'][layer]])
        place = np.log(edited['kappa'][layer][hit].astype(np.float64)) / bound
        counts = np.histogram(np.clip(place, -1, 1 - 1e-9), 64, (-1, 1))[0]
        self.assertLessEqual(np.abs(np.cumsum(counts - edited['kappa_hist'][layer][expert])).max(), 8)  # at bin edges
        self.assertFalse(np.array_equal(edited['kappa_hist'][layer][expert], base['kappa_hist'][layer][expert]))
        self.assertNotEqual(edited['effect_abs'][layer][expert], base['effect_abs'][layer][expert])
        factor = np.ones_like(edited['kappa_factor'])
        factor[edited['layer_index'] == base['layer_index'][layer], expert] = 2
        np.testing.assert_array_equal(edited['kappa_factor'], factor)
        self.assert_summary_and_figure(base, edited, layer, expert)

    def assert_summary_and_figure(self, base, edited, layer, expert):
        kept = edited['expert_kept'][layer]
        mean = edited['kappa'][layer][kept].astype(np.float64).mean()
        self.assertAlmostEqual(edited['summary']['layers'][layer]['kappa']['mean'], mean, delta=1e-4 * mean)
        drawn = []
        for name in ('base', 'edited'):
            with open(self.folder / name / 'figures' / 'kappa-experts.csv', newline='') as file:
                drawn.append([row for row in csv.DictReader(file) if int(row['layer']) == base['layer_index'][layer]
                              and int(row['expert']) == expert][0])
        ratio = float(drawn[1]['kappa_geometric_mean']) / float(drawn[0]['kappa_geometric_mean'])
        self.assertAlmostEqual(ratio, 2, delta=1e-4)

    def test_value_is_every_kappa(self):
        """κ := 1.5 for a layer; figures need no model to show it."""
        edited = self.trace('edited', '--kappa', '1.5@3', '--kappa-mul', '7')
        row = list(edited['layer_index']).index(3)
        kept = edited['expert_kept'][row]
        for name in ('kappa_mean', 'kappa_min', 'kappa_max', 'kappa_p05', 'kappa_p95'):
            self.assertTrue((edited[name][row][kept] == 1.5).all(), name)
        self.assertTrue((edited['kappa'][row][kept] == 1.5).all())
        self.assertTrue((edited['kappa_factor'][row] == 1.5).all())
        self.assertTrue((edited['kappa_bias_in_force'][row] == 0).all())
        (self.folder / 'edited' / 'model.npz').unlink()
        self.run_program('plot', self.folder / 'edited', '--figures', 'kappa-depth', '--figure-format', 'csv', '-o',
                         self.folder / 'plotted', '-q')
        with open(self.folder / 'plotted' / 'kappa-depth.csv', newline='') as file:
            row = [row for row in csv.DictReader(file) if row['layer'] == '3'][0]
        for name in ('kappa_geometric_mean', 'kappa_p05', 'kappa_p95'):
            self.assertAlmostEqual(float(row[name]), 1.5, places=5)

    def test_parameters_are_those_of_a_filled_checkpoint(self):
        """--kappa-bias 0.5 and --kappa-scale 1 are what filling the tensors gives, bit for bit."""
        filled = self.folder / 'filled'
        filled.mkdir()
        state = torch_files.load(MODEL / WEIGHTS)
        for name, values in state.items():
            if name.endswith('kappa_bias'):
                values[:] = 0.5
            if name.endswith('kappa_scale'):
                values[:] = 1
        torch_files.save(filled / WEIGHTS, state)
        (filled / META).write_text((MODEL / META).read_text())
        theirs = self.trace('theirs', '--tokenizer', SOURCE / 'assets' / 'tokenizer', model=filled)
        ours = self.trace('ours', '--kappa-scale', '1', '--kappa-bias', '0.5')
        self.assertEqual(ours['meta']['interventions'], ['kappa-bias=0.5', 'kappa-scale=1'])
        own = {'meta', 'summary', 'kappa_bias_in_force', 'kappa_scale_in_force'}
        self.assertEqual(set(ours) - own, set(theirs) - own)
        self.assert_same(ours, theirs, sorted(set(theirs) - own))
        self.assertTrue((ours['kappa_bias_in_force'] == 0.5).all() and (ours['kappa_scale_in_force'] == 1).all())

    def test_routers_and_passes(self):
        free, named = self.trace('free', '--no-capacity'), self.trace('named', '--capacity', 'off')
        self.assertEqual(free['meta']['interventions'], ['capacity=off'])
        self.assertTrue(free['expert_kept'].all())
        self.assert_same(free, named, sorted(set(free) - {'meta', 'summary'}))
        one = self.trace('one', '--top-k', '1@3', '--capacity', '0.5')
        row = list(one['layer_index']).index(3)
        self.assertTrue((one['expert_index'][row][:, 1] == -1).all() and (one['expert_index'][row][:, 0] >= 0).all())
        self.assertTrue((one['expert_weight'][row][:, 0][one['expert_kept'][row][:, 0]] == 1).all())
        self.assertTrue((one['expert_index'][row - 1] >= 0).all())
        self.assertFalse(one['expert_kept'].all())
        twice = self.trace('twice', '--loop', '2')
        self.assertEqual(list(twice['pass_index']), [0] * (len(twice['pass_index']) // 2) + [1] * (len(twice['pass_index']) // 2))

    def test_off_is_one_and_the_score_stays(self):
        off = self.trace('off', '--kappa', 'off')
        self.assertEqual(off['meta']['interventions'], ['kappa=off'])
        self.assertFalse(off['meta']['kappa']['in_force'])
        self.assertTrue((off['kappa'][off['expert_kept']] == 1).all())
        self.assertFalse(np.isnan(off['kappa_input'][off['expert_kept']]).any())

    def test_errors(self):
        for code, words, says in ((2, ('--kappa', '0'), 'a number > 0'), (2, ('--kappa-mul', 'off'), 'a number'),
                                  (2, ('--top-k', '2@3:1'), 'no experts'), (2, ('--loop', '0'), 'from 1 to 64'),
                                  (2, ('--kappa', '2@x'), 'a scope such as'),
                                  (4, ('--kappa-mul', '2@99'), 'layer 99: expected 0 to 3'),
                                  (4, ('--kappa-mul', '2@3:99'), 'expert 99 of layer 3'),
                                  (4, ('--top-k', '2@0'), 'cannot act'), (2, ('--kappa-slot', 'sft'), '--kappa-slot')):
            err = self.run_program('run', MODEL, '-p', 'a', *words, code=code)[1]
            self.assertIn(says, err)
            self.assertEqual(err.count('\n'), 1, err)


if __name__ == '__main__':
    main()
