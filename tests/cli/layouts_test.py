"""Layouts of the reference through the program: what is found is said, what is not certain is refused by name."""
import json
import shutil

import numpy as np

import torch_files
from harness import SOURCE, Case, main

DATA = SOURCE / 'tests' / 'golden' / 'data'
WEIGHTS, META = 'model_000120.pt', 'meta_000120.json'
TEXT = 'The tide came in, and the tide went out again before the moon rose over the harbour wall.'


class LayoutTest(Case):
    def model(self, data, name='model', tensors=None, **fields):
        """A checkpoint of tests/golden/data with other tensors and fields; None removes one."""
        folder = self.folder / name
        folder.mkdir()
        if tensors is None:
            shutil.copy(DATA / data / WEIGHTS, folder)
        else:
            torch_files.save(folder / WEIGHTS, torch_files.load(DATA / data / WEIGHTS) | tensors)
        document = json.loads((DATA / data / META).read_text())
        document['model_config'] |= fields
        document['model_config'] = {k: v for k, v in document['model_config'].items() if v is not None}
        (folder / META).write_text(json.dumps(document))
        return folder

    def trace(self, model, *words):
        self.out = out = self.folder / f'out-{len(list(self.folder.iterdir()))}'
        err = self.run_program('run', model, '-p', TEXT, '-o', out, '--tokenizer', SOURCE / 'assets' / 'tokenizer',
                               '--figures', 'none', *words)[1]
        arrays = dict(np.load(out / 'trace.npz', allow_pickle=False))
        return arrays, json.loads(str(arrays.pop('kappascope_meta'))), err

    def test_the_input_is_named_where_layers_below_the_start_have_none(self):
        """A κ router begins with κ: the first layer with experts has no score."""
        state = torch_files.load(DATA / 'drops-auxfree' / WEIGHTS)
        routers = {f'transformer.h.{layer}.mlp.kappa_router.weight':
                   state[f'transformer.h.{layer}.mlp.router.w_g.weight'] / 4 for layer in (2, 3)}
        model = self.model('drops-auxfree', tensors=routers, independent_kappa_router=True)
        self.assertIn('\nκ input:     κ router\n', self.run_program('info', model)[0])
        self.assertEqual(json.loads(self.run_program('info', model, '--json')[0])['kappa']['input'], 'top_logits')
        arrays, meta, _ = self.trace(model)
        self.assertEqual(meta['kappa']['input'], 'top_logits')
        kept = arrays['expert_kept']
        for row, layer in enumerate(arrays['layer_index']):
            found = np.isfinite(arrays['kappa_input'][row][kept[row]])
            self.assertTrue(found.all() if layer >= 2 else not found.any(), layer)

    def test_fields_that_are_refused(self):
        for number, (field, remedy) in enumerate((
                ('kappa_bias_from_scale', 'save the product as experts.kappa_bias'),
                ('use_kappa_router_softmax', 'save a model without'),
                ('router_wg_delta', 'add router.w_g_delta to router.w_g'))):
            err = self.assert_refused(4, 'info', self.model('top-logits-p05', f'on-{number}', **{field: True}),
                                      says=(META, f'model_config.{field}', 'found true', remedy))
            self.assertEqual(err.count(field), 1, err)
            self.run_program('info', self.model('top-logits-p05', f'off-{number}', **{field: False}))
        model = self.model('top-logits-p05', 'all', kappa_bias_from_scale=True, router_wg_delta=True, ut_source=9)
        self.assert_refused(4, 'info', model, says=('kappa_bias_from_scale', 'router_wg_delta', 'found 9'))

    def test_passes_with_rows_of_lambdas(self):
        """Without a source the rows are averaged, with a warning; with one each pass has its own."""
        err = self.run_program('info', DATA / 'bf16-compiled-2d')[1]
        self.assertEqual(err.count('warning'), 1)
        self.assertIn('resid_lambdas and x0_lambdas with one row per pass, without ut_source_lambdas: averaged', err)
        rows = {name: np.array([[1, 1, 1], [0.5, 0.5, 0.5]], np.float32) for name in ('resid_lambdas', 'x0_lambdas')}
        source = {'ut_source_lambdas': np.array([0, 0.7], np.float32)}
        without = self.model('top-logits-p05', 'without', rows, total_ut_steps=2)
        within = self.model('top-logits-p05', 'within', rows | source, total_ut_steps=2)
        averaged, _, err = self.trace(without)
        self.assertIn('without ut_source_lambdas: averaged', err)
        by_pass, _, err = self.trace(within)
        self.assertNotIn('warning', err)
        self.assertFalse(np.array_equal(averaged['nll'], by_pass['nll'], equal_nan=True))
        half = {name: np.full(3, 0.75, np.float32) for name in rows}
        mean = self.trace(self.model('top-logits-p05', 'mean', half, total_ut_steps=2))[0]
        np.testing.assert_array_equal(mean['nll'], averaged['nll'])

    def test_slots_beside_passes_are_counted(self):
        state = torch_files.load(DATA / 'top-logits-p05' / WEIGHTS)
        two = {name: np.stack([values, values]) for name, values in state.items() if '.kappa_' in name}
        err = self.run_program('info', self.model('top-logits-p05', 'two', two))[1]
        self.assertRegex(err, r'2 slots of κ for 1 pass: pass t uses slot min\(t, 1\)\n')
        many = {name: np.stack([values] + 69 * [-values]) for name, values in state.items() if '.kappa_' in name}
        arrays = self.trace(self.model('top-logits-p05', 'many', many))[0]
        err = self.run_program('plot', self.out, '-o', self.folder / 'plotted', '--figures', 'kappa-parameters')[1]
        self.assertEqual(err, '')
        one = self.trace(DATA / 'top-logits-p05')[0]
        np.testing.assert_array_equal(arrays['kappa_mean'], one['kappa_mean'])

    def test_an_edit_acts_in_every_pass(self):
        arrays, meta, _ = self.trace(DATA / 'top-logits-p05', '--loop', '2', '--kappa-mul', '3@2:1', '--record', 'gates')
        self.assertEqual(sorted(meta['interventions']), ['kappa-mul=3@2:1', 'loop=2'])
        self.assertEqual(list(arrays['pass_index']), [0, 0, 1, 1])
        plain = self.trace(DATA / 'top-logits-p05', '--loop', '2', '--record', 'gates')[0]
        np.testing.assert_array_equal(arrays['kappa'][0], plain['kappa'][0])  # before the edit acts
        for row in np.flatnonzero(arrays['layer_index'] == 2):
            hit = (arrays['expert_index'][row] == 1) & arrays['expert_kept'][row]
            self.assertTrue(hit.any())
            if row == 1:
                np.testing.assert_allclose(arrays['kappa'][row][hit], 3 * plain['kappa'][row][hit], rtol=1e-5)
            for name, of_gates in (('kappa_mean', np.mean), ('kappa_min', np.min), ('kappa_max', np.max)):
                np.testing.assert_allclose(arrays[name][row][hit], of_gates(arrays['kappa'][row][hit], axis=-1), rtol=1e-5)
            bound = np.load(self.out / 'model.npz')['kappa_u'][2]
            place = np.log(arrays['kappa'][row][hit].astype(np.float64)) / np.log(bound)
            self.assertEqual(arrays['kappa_hist'][row][1].sum(), place.size)
            self.assertAlmostEqual(np.sum(place > 0) / place.size, arrays['kappa_hist'][row][1][32:].sum() / place.size,
                                   delta=0.01)


if __name__ == '__main__':
    main()
