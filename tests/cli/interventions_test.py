"""What a run changes in a model, and every number that must show it."""
import csv
import json

import numpy as np

import torch_files
from harness import SOURCE, Case, main

MODEL = SOURCE / 'assets' / 'd4-kappa'
WEIGHTS, META = 'model_004800.pt', 'meta_004800.json'
TEXT = 'The tide came in, and the tide went out again before the moon rose over the harbour wall.'


class InterventionTest(Case):
    def trace(self, name, *words, model=MODEL, figures='none'):
        out, text = self.folder / name, () if '-p' in words else ('-p', TEXT)
        self.run_program('run', model, *text, '-o', out, '--record', 'gates', '-q', '--figures', figures,
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

    def test_the_later_word_on_kappa_holds(self):
        for words, kept in ((['2', 'on'], []), (['off@3', 'on', '2@2'], ['kappa=2@2']), (['on', 'off'], ['kappa=off'])):
            given = [word for value in words for word in ('--kappa', value)]
            self.assertEqual(self.trace('later', *given)['meta']['interventions'], kept)

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

    def test_own_routing_replayed_is_the_run_bit_for_bit(self):
        """From the trace and from an array as serving engines return it; in passes that drop assignments, in chunks."""
        for words in ((), ('--loop', '2', '--capacity', '0.6'), ('-p', 12 * TEXT, '--window')):
            base = self.trace(f'base-{len(words)}', '--logits', *words)
            trace = self.folder / f'base-{len(words)}' / 'trace.npz'
            served = self.folder / 'served.npy'
            index = base['expert_index'].transpose(1, 0, 2)
            for name, routes in (('trace', None), ('whole', index.astype(np.int32)), ('later', index[1:].astype(np.uint8))):
                if routes is not None:
                    np.save(served, routes)
                file = trace if routes is None else served
                ours = self.trace(f'{name}-{len(words)}', '--logits', '--routes', file, *words)
                self.assertEqual(ours['meta']['interventions'][-1], f'routes={file}')
                self.assert_same(ours, base, sorted(set(base) - {'meta', 'summary'}))
                self.assertEqual([row['otherwise'] for row in ours['summary']['routes']['layers']], [0] * len(base['layer_index']))

    def test_other_routing_is_replayed_and_compared(self):
        base = self.trace('base')
        index, experts = base['expert_index'].transpose(1, 0, 2).astype(np.int64), base['router_logits'].shape[2]
        served = self.folder / 'served.npy'
        index[3] = (index[3] + 1) % experts
        index[5] = -1
        np.save(served, index)
        compared = self.trace('compared', '--compare-routes', served)
        self.assert_same(compared, base, sorted(set(base) - {'meta', 'summary'}))
        self.assertEqual(compared['meta']['interventions'], [])
        for row in compared['summary']['routes']['layers']:
            self.assertEqual((row['compared'], row['otherwise']), (len(index) - 1, 1))
        out = self.run_program('run', MODEL, '-p', TEXT, '--compare-routes', served)[0]
        self.assertIn('otherwise', out)
        ours = self.trace('ours', '--routes', served)
        np.testing.assert_array_equal(ours['expert_index'][:, 3], index[3])
        np.testing.assert_array_equal(ours['expert_index'][0, 5], base['expert_index'][0, 5])
        logits = np.take_along_axis(ours['router_logits'][:, 3], index[3], 1)
        weight = np.exp(logits - logits.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        kept = ours['expert_kept'][:, 3]
        np.testing.assert_allclose(ours['expert_weight'][:, 3][kept], weight[kept], rtol=1e-5)
        self.assertEqual(ours['summary']['routes']['layers'][0]['otherwise'], 1)
        self.assertLess(ours['router_margin'][0, 3], 0)

    def test_broken_routes_are_precise_errors(self):
        base = self.trace('base')
        index = base['expert_index'].transpose(1, 0, 2)
        served = self.folder / 'served.npy'
        rows, slots = index.shape[1], index.shape[2]
        for values, code, says in ((index[:, :-1], 4, f'expected {rows}, found {rows - 1}'),
                                   (np.repeat(index, 2, 2), 4, f'expected K = {slots}, found {2 * slots}'),
                                   (index[:5], 4, 'routing of tokens; expected'),
                                   (index.astype(np.float32), 4, 'expected a little-endian integer, found <f4'),
                                   (index.astype('>i4'), 4, 'found >i4'), (index[0], 4, 'shape; expected (tokens'),
                                   (np.asfortranarray(index), 4, 'Fortran order'),
                                   (np.where(index == index[2, 1, 0], 9999, index), 4, 'expected -1 to'),
                                   (np.where(index == index[2, 1, 0], -2, index), 4, 'found -2'),
                                   (np.repeat(index[:, :, :1], slots, 2), 4, 'is there twice')):
            np.save(served, values)
            err = self.run_program('run', MODEL, '-p', TEXT, '--routes', served, code=code)[1]
            self.assertIn(says, err)
            self.assertIn('served.npy', err)
            self.assertEqual(err.count('\n'), 1, err)
        np.save(served, index)
        whole = served.read_bytes()
        for length in (0, 5, 9, 60, 127, 129, len(whole) - 1):
            served.write_bytes(whole[:length])
            self.run_program('run', MODEL, '-p', TEXT, '--routes', served, code=3)
        served.write_bytes(whole + b'0')
        self.run_program('run', MODEL, '-p', TEXT, '--routes', served, code=3)
        self.run_program('run', MODEL, '-p', TEXT, '--routes', self.folder / 'none.npy', code=5)
        self.run_program('run', MODEL, '-p', 'Another text', '--routes', self.folder / 'base', code=4)
        self.run_program('run', MODEL, '-f', SOURCE / 'assets' / 'texts', '--routes', served, code=2)

    def test_ablated_experts_and_given_ones(self):
        base = self.trace('base')
        layer = int(base['layer_index'][-1])
        busy = int(np.bincount(base['expert_index'][-1][base['expert_kept'][-1]]).argmax())
        hit = (base['expert_index'][-1] == busy) & base['expert_kept'][-1]
        routing = ['router_logits', 'expert_index', 'expert_weight', 'expert_kept', 'kappa_input', 'gate_act', 'kappa_hist']
        zero = self.trace('zero', '--ablate', f'{layer}:{busy}')
        self.assertEqual(zero['meta']['interventions'], [f'ablate={layer}:{busy}'])
        self.assert_same(zero, base, routing)  # of the last layer, and of all before
        self.assertTrue((zero['expert_output_norm'][-1][hit] == 0).all())
        np.testing.assert_array_equal(zero['expert_output_norm'][-1][~hit], base['expert_output_norm'][-1][~hit])
        self.assertFalse(np.array_equal(zero['nll'], base['nll'], equal_nan=True))
        mean = self.trace('mean', '--ablate', f'{layer}:{busy}:mean')
        self.assert_same(mean, base, routing)
        self.assertEqual(len(np.unique(mean['expert_output_norm'][-1][hit])), 1)
        away = self.trace('away', '--ablate', f'{layer}:{busy}:reroute')
        self.assertTrue((away['expert_index'][-1] != busy).all())
        self.assertTrue(np.isneginf(away['selection_score'][-1][:, busy]).all())
        np.testing.assert_array_equal(away['selection_score'][0], away['router_logits'][0])
        given = self.trace('given', '--route', f'{layer}:2,4-5:{busy}')
        self.assertTrue((given['expert_index'][-1][[2, 4, 5], 0] == busy).all())
        kept = self.trace('kept', '--gate-keep', '0.5')
        a = np.abs(base['gate_act'][0][base['expert_kept'][0]].astype(np.float64))
        acts = np.abs(kept['gate_act'][0][base['expert_kept'][0]].astype(np.float64))
        self.assertTrue((acts.sum(1) >= 0.5 * a.sum(1)).all() and ((acts > 0).sum(1) < (a > 0).sum(1)).all())
        np.testing.assert_allclose(kept['gate_mean_abs'][0][base['expert_kept'][0]], acts.mean(1), rtol=1e-5)
        np.testing.assert_array_equal(kept['kappa_hist'][0], base['kappa_hist'][0])

    def test_errors(self):
        for code, words, says in ((2, ('--kappa', '0'), 'a number > 0'), (2, ('--kappa-mul', 'off'), 'a number'),
                                  (2, ('--top-k', '2@3:1'), 'no experts'), (2, ('--loop', '0'), 'from 1 to 64'),
                                  (2, ('--kappa', '2@x'), 'a scope such as'),
                                  (4, ('--kappa-mul', '2@99'), 'layer 99: expected 0 to 3'),
                                  (4, ('--kappa-mul', '2@3:99'), 'expert 99 of layer 3'),
                                  (2, ('--ablate', '3'), 'LAYER:EXPERTS'), (2, ('--gate-keep', '1.1'), 'at most 1'),
                                  (4, ('--ablate', '0:0'), 'no experts'), (4, ('--ablate', '3:99'), 'expert 99 of layer 3'),
                                  (4, ('--route', '3:99:0'), 'token 99: expected 0 to'),
                                  (4, ('--route', '3:0:99'), 'expert 99 of layer 3'),
                                  (2, ('--kappa-mul', '1e38', '--kappa-mul', '1e38@3'), 'together found 1e+76'),
                                  (2, ('--kappa-mul', '1e-38', '--kappa-mul', '1e-38'), 'together found 1e-76'),
                                  (4, ('--top-k', '2@0'), 'cannot act'), (2, ('--kappa-slot', 'sft'), '--kappa-slot')):
            err = self.run_program('run', MODEL, '-p', 'a', *words, code=code)[1]
            self.assertIn(says, err)
            self.assertEqual(err.count('\n'), 1, err)


if __name__ == '__main__':
    main()
