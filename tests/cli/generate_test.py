"""Texts that a model goes on with: what is printed and recorded, how it ends, what is refused."""
import json
import os
import pty
import signal

import numpy as np

from harness import MODEL, SOURCE, Case, files_under, main

GREEDY = ('generate', MODEL, '-p', 'The tide came in and', '--no-capacity', '-q')
# A call of one token sums in another order than a call of all.
ROUNDING = {'rtol': 1e-4, 'atol': 1e-4}


class GenerateTest(Case):
    def generate(self, *words, **options):
        return json.loads(self.run_program(*words, '--json', **options)[0])

    def test_the_trace_is_that_of_a_run_on_its_tokens(self):
        out, other = self.folder / 'out', self.folder / 'run'
        said, err = self.run_program(*GREEDY, '--tokens', 30, '-o', out, '--figures', 'decode-overlap', '--figure-format', 'csv')
        self.assertEqual(err, '')
        trace = np.load(out / 'trace.npz')
        generation = json.loads(str(trace['kappascope_meta']))['generation']
        prompt = generation['prompt_tokens']
        self.assertEqual(generation['generated_tokens'], 30)
        self.assertEqual((generation['ended_by'], generation['capacity_of_step']), ('token limit', None))
        self.assertEqual(trace['phase'].dtype, np.int8)
        np.testing.assert_array_equal(trace['phase'], [0] * prompt + [1] * 30)
        pieces = [bytes.fromhex(text) for text in trace['token_bytes_hex'][prompt:]]
        self.assertEqual(b''.join(pieces).decode(errors='replace'), said)
        # Greedy: each is the likeliest after the one before.
        np.testing.assert_array_equal(trace['token_id'][prompt:], trace['top_token_id'][prompt - 1:-1, 0])
        np.testing.assert_array_equal(trace['target_rank'][prompt:], 0)
        self.check_places(trace, prompt)

        (self.folder / 'ids').write_text('\n'.join(map(str, trace['token_id'])))
        self.run_program('run', MODEL, '--ids', self.folder / 'ids', '--no-capacity', '-q', '-o', other, '--figures', 'none')
        whole = np.load(other / 'trace.npz')
        self.assertEqual(set(trace.files) - set(whole.files), {'phase'})
        same = (whole['expert_index'] == trace['expert_index']).all(-1)
        self.assertTrue(same[whole['router_margin'] > 1e-3].all())
        for name in ('nll', 'router_logits', 'gate_kz_rms', 'kappa_mean', 'expert_output_norm', 'dense_gate_mean_abs'):
            np.testing.assert_allclose(trace[name], whole[name], **ROUNDING, err_msg=name)
        np.testing.assert_array_equal(trace['kappa_hist'].sum(-1), whole['kappa_hist'].sum(-1))
        self.check_phases(out, trace, prompt)

    def check_places(self, trace, prompt):
        """Tokens follow one another in the text, from where the prompt ends."""
        starts, ends = trace['char_start'], trace['char_end']
        self.assertEqual(starts[prompt], ends[prompt - 1])
        self.assertEqual(ends[-1] - ends[prompt - 1], len(b''.join(
            bytes.fromhex(text) for text in trace['token_bytes_hex'][prompt:]).decode(errors='ignore')))
        self.assertTrue((starts[prompt:] <= ends[prompt:]).all())

    def check_phases(self, out, trace, prompt):
        summary = json.loads((out / 'summary.json').read_text())
        self.assertEqual(summary['generation']['ended_by'], 'token limit')
        chosen = trace['expert_index'][0]
        for name, part in (('prompt', chosen[:prompt]), ('generated', chosen[prompt:])):
            shared = [np.isin(own, following).mean() for own, following in zip(part, part[1:])]
            loads = np.sort(np.bincount(part.ravel(), minlength=16))[::-1]
            found = summary['layers'][0]['phases'][name]
            self.assertEqual(found['tokens'], len(part))
            self.assertAlmostEqual(found['neighbour_overlap'], np.mean(shared))
            self.assertEqual(found['hot_set'], 1 + int(np.argmax(loads.cumsum() >= 0.9 * loads.sum())))
        table = (out / 'figures' / 'decode-overlap.csv').read_text()
        self.assertIn(f"{summary['layers'][0]['phases']['generated']['hot_set']}", table)

    def test_drawing_follows_the_seed(self):
        words = (*GREEDY, '--tokens', 24, '--temperature', 1.2, '--top-p', 0.9, '--top-k-tokens', 50)
        first, again, other = (self.generate(*words, '--seed', seed)['token_ids'] for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertEqual(self.generate(*GREEDY, '--tokens', 24)['token_ids'],
                         self.generate(*GREEDY, '--tokens', 24, '--temperature', 1, '--top-k-tokens', 1)['token_ids'])

    def test_what_ends_it(self):
        whole = self.generate(*GREEDY, '--tokens', 40)
        stop = whole['text'][20:24]
        cut = self.generate(*GREEDY, '--tokens', 40, '--stop', 'never said', '--stop', stop)
        self.assertEqual(cut['generation']['ended_by'], 'stop text')
        self.assertEqual(cut['text'], whole['text'][:whole['text'].index(stop)])
        context = json.loads(self.run_program('info', MODEL, '--json')[0])['model_config']['sequence_len']
        (self.folder / 'ids').write_text('\n'.join(['5'] * (context - 3)))
        full = self.generate('generate', MODEL, '--ids', self.folder / 'ids', '-q', '--tokens', 40)
        self.assertEqual(len(full['token_ids']), context)
        self.assertEqual(full['generation']['ended_by'], 'longest text')
        (self.folder / 'ids').write_text('\n'.join(['5'] * (context + 1)))
        self.assert_refused(4, 'generate', MODEL, '--ids', self.folder / 'ids', says=['too long', str(context)])

    def test_ctrl_c_writes_what_there_is(self):
        out = self.folder / 'out'
        process = self.start('generate', MODEL, '-p', 'The tide', '--tokens', 2000, '--no-capacity', '-o', out, '--ignore-end')
        self.assertTrue(process.stdout.read(40))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        meta = json.loads(str(np.load(out / 'trace.npz')['kappascope_meta']))
        self.assertEqual(meta['generation']['ended_by'], 'interrupted')
        self.assertLess(0, meta['generation']['generated_tokens'])
        self.assertEqual(meta['dimensions']['token'],
                         meta['generation']['prompt_tokens'] + meta['generation']['generated_tokens'])
        self.assertEqual(set(files_under(out)), {'trace.npz', 'model.npz', 'tokens.csv', 'routing.csv', 'summary.json'})

    def test_capacity_is_said(self):
        words = ('generate', MODEL, '-p', 'The tide came in and', '--tokens', 2)
        self.assertIn('--no-capacity makes both alike', self.run_program(*words)[1])
        self.assertNotIn('capacity', self.run_program(*words, '--no-capacity')[1])
        self.assertEqual(self.generate(*words)['generation']['capacity_of_step'], 4)
        value, unit = self.run_program(*words, '-v')[1].split('; cache ')[1].split()[:2]
        shown = float(value) * {'kB': 1e3, 'MB': 1e6}[unit]
        self.assertAlmostEqual(shown / self.generate(*words)['cache_bytes'], 1, delta=0.05)

    def test_a_chat_is_answered(self):
        user = [{'role': 'user', 'content': 'What is a tide?'}]
        (self.folder / 'chat.json').write_text(json.dumps(user))
        words = ('generate', MODEL, '--chat', '--tokens', 4, '-q')
        said = self.generate(*words, '-p', 'What is a tide?')
        self.assertEqual(said['token_ids'], self.generate(*words, '-f', self.folder / 'chat.json')['token_ids'])
        whole = json.loads(self.run_program('tokens', MODEL, '-f', self.folder / 'chat.json', '--chat', '--json')[0])
        prompt = said['token_ids'][:said['generation']['prompt_tokens']]
        self.assertEqual(prompt[:-1], whole['token_id'])
        (self.folder / 'chat.json').write_text(json.dumps(user + [{'role': 'assistant', 'content': 'Water.'}]))
        self.assert_refused(4, *words, '-f', self.folder / 'chat.json', says="a user's message last")

    def test_a_terminal_is_shown_no_control_characters(self):
        ours, theirs = pty.openpty()
        process = self.start(*GREEDY, '--tokens', 3, stdout=theirs)
        os.close(theirs)
        process.communicate(timeout=60)
        self.assertTrue(os.read(ours, 4096).endswith(b'\r\n'))
        os.close(ours)

    def test_refusals(self):
        prompt, ids = ('generate', MODEL, '-p', 'The tide'), self.folder / 'ids'
        ids.write_text('1\n2\n')
        for words, says in ((('generate', MODEL), 'exactly one'), ((*prompt, '--ids', 'x'), 'exactly one'),
                            ((*prompt, '--top-p', '0.5'), '--temperature'), ((*prompt, '--tokens', '0'), '--tokens'),
                            ((*prompt, '--layers', '1'), '-o DIR'), ((*prompt, '--temperature', 'nan'), 'found nan'),
                            ((*prompt, '--temperature', '1', '--top-p', 'nan'), 'found nan'),
                            ((*prompt, '--seed', '-1'), '--seed'), ((*prompt, '--routes', 'x'), 'of a whole text'),
                            (('generate', SOURCE / 'tests/golden/hf/mixtral-window', '--ids', ids, '--stop', 'x'), 'no tokenizer')):
            self.assert_refused(2, *words, says=says)
        self.assert_refused(4, *prompt, '--ablate', '3:1:mean', says='a call of one token has no mean')


if __name__ == '__main__':
    main()
