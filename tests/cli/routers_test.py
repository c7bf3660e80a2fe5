"""Routers that choose by a score and a bias, and within groups: what a trace says of them and what NumPy finds."""
import csv
import json

import numpy as np

from harness import SOURCE, Case, main

FOLDERS = SOURCE / 'tests' / 'golden' / 'hf'


def bias_of(model, layer):
    """e_score_correction_bias of a bfloat16 folder."""
    data = (model / 'model.safetensors').read_bytes()
    length = int.from_bytes(data[:8], 'little')
    header = json.loads(data[8:8 + length])
    entry = header[f'model.layers.{layer}.mlp.gate.e_score_correction_bias']
    begin, end = (8 + length + offset for offset in entry['data_offsets'])
    if entry['dtype'] == 'F32':
        return np.frombuffer(data[begin:end], '<f4')
    return (np.frombuffer(data[begin:end], '<u2').astype('<u4') << 16).view('<f4')


class RoutersTest(Case):
    def run_model(self, name, model, *words, figures='none'):
        ids, out = self.folder / 'ids.json', self.folder / name
        ids.write_text(str([(37 * t + 11) % 96 for t in range(40)]))
        self.run_program('run', FOLDERS / model, '--ids', ids, '-o', out, '--figures', figures, '--figure-format', 'csv',
                         '-q', *words)
        arrays = dict(np.load(out / 'trace.npz', allow_pickle=False))
        arrays['meta'] = json.loads(str(arrays.pop('kappascope_meta')))
        arrays['summary'] = json.loads((out / 'summary.json').read_text())
        return arrays

    def assert_sigmoid(self, trace, model, m, scale, added=1e-20):
        """Everything that follows from the logits of a layer without groups."""
        q = 1 / (1 + np.exp(-trace['router_logits'][m].astype(np.float64)))
        c = q + bias_of(FOLDERS / model, trace['layer_index'][m])
        p = q / q.sum(1, keepdims=True)
        index = trace['expert_index'][m].astype(int)
        slots = index.shape[1]
        np.testing.assert_array_equal(index, np.argsort(-c, axis=1, kind='stable')[:, :slots])
        chosen = np.take_along_axis(q, index, 1)
        np.testing.assert_allclose(trace['expert_weight'][m], scale * chosen / (chosen.sum(1, keepdims=True) + added),
                                   rtol=2e-6)
        falling = -np.sort(-c, axis=1)
        np.testing.assert_allclose(trace['router_margin'][m], falling[:, slots - 1] - falling[:, slots], atol=2e-7)
        np.testing.assert_allclose(trace['selection_score'][m], c, atol=2e-7)
        np.testing.assert_allclose(trace['router_top1_prob'][m], p.max(1), rtol=2e-6)
        np.testing.assert_allclose(trace['router_selected_mass'][m], np.take_along_axis(p, index, 1).sum(1), rtol=2e-6)
        np.testing.assert_allclose(trace['router_entropy'][m], -(p * np.log(p)).sum(1) / np.log(p.shape[1]), rtol=2e-6)
        two = -np.sort(-trace['router_logits'][m], axis=1)
        np.testing.assert_array_equal(trace['router_top_gap'][m], two[:, 0] - two[:, 1])
        return p

    def test_sigmoid_and_bias(self):
        trace = self.run_model('dots1', 'dots1', figures='router-probability,router-margin')
        meta = trace['meta']
        self.assertEqual((meta['router_score'], meta['router_margin_unit'], meta['near_tie']), ('sigmoid', 'score', 0.00025))
        self.assertEqual(meta['arrays']['router_margin']['unit'], 'score')
        probability = {}
        for m in range(len(trace['layer_index'])):
            p = self.assert_sigmoid(trace, 'dots1', m, 2.5)
            probability[int(trace['layer_index'][m])] = p
        with (self.folder / 'dots1' / 'figures' / 'router-probability.csv').open() as file:
            for row in csv.DictReader(line for line in file if not line.startswith('#')):
                expected = probability[int(row['layer'])][int(row['token']), int(row['expert'])]
                self.assertAlmostEqual(float(row['router_probability']), expected, places=6)
        margins = trace['router_margin']
        ties = [layer['near_ties'] for layer in trace['summary']['layers']]
        self.assertEqual(ties, list(((margins >= 0) & (margins < 0.00025)).sum(1)))
        self.assertTrue(np.allclose(sum(trace['summary']['layers'][0]['gate_mass']), 2.5, rtol=1e-5))

    def test_groups_and_interventions(self):
        trace = self.run_model('base', 'deepseek-v3')
        self.assertTrue(np.isneginf(trace['selection_score']).any())
        for m, layer in enumerate(trace['layer_index']):
            q = 1 / (1 + np.exp(-trace['router_logits'][m].astype(np.float64)))
            c = q + bias_of(FOLDERS / 'deepseek-v3', layer)
            groups = -np.sort(-np.sort(c.reshape(len(c), 4, 2), axis=2).sum(2), axis=1)
            allowed = ~np.isneginf(trace['selection_score'][m])
            self.assertTrue((allowed.sum(1) == 4).all())
            np.testing.assert_allclose(trace['selection_score'][m][allowed], c[allowed], atol=2e-7)
            falling = -np.sort(-np.where(allowed, c, -np.inf), axis=1)
            margin = np.minimum(falling[:, 2] - falling[:, 3], groups[:, 1] - groups[:, 2])
            np.testing.assert_allclose(trace['router_margin'][m], margin, atol=4e-7)
        layer = int(trace['layer_index'][0])
        busy = int(np.bincount(trace['expert_index'][0].ravel().astype(int)).argmax())
        other = self.run_model('without', 'deepseek-v3', '--ablate', f'{layer}:{busy}:reroute')
        self.assertFalse((other['expert_index'][0] == busy).any())
        self.assertTrue(np.isneginf(other['selection_score'][0][:, busy]).all())
        more = self.run_model('more', 'deepseek-v3', '--top-k', '4')
        self.assertEqual(more['expert_index'].shape[2], 4)
        np.testing.assert_allclose(more['expert_weight'].sum(2), 2.5, rtol=1e-5)
        _, err = self.run_program('run', FOLDERS / 'deepseek-v3', '--ids', self.folder / 'ids.json', '--top-k', '5', code=4)
        self.assertIn('2 of 4 groups of 2 experts', err)

    def test_sparse_mixer_puts_no_expert_in_the_place_of_one(self):
        (self.folder / 'ids.json').write_text('[1, 2, 3, 4]')
        words = ('run', FOLDERS / 'phimoe-longrope-short', '--ids', self.folder / 'ids.json', '-o', self.folder / 'out')
        _, err = self.run_program(*words, '--ablate', '0:0:reroute', code=4)
        self.assertIn('SparseMixer', err)
        self.run_program(*words, '--ablate', '0:0:zero', '--figures', 'none', '-q')


if __name__ == '__main__':
    main()
