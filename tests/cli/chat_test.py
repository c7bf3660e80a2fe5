"""Chats: their tokens, which of them are the assistant's, and statistics of these alone."""
import json
import os
import pathlib
import pickle
import random
import shutil
import subprocess

import numpy as np
import tiktoken

from harness import MODEL, SOURCE, TEXTS, Case, main
from peer_python import start_words
from tokenizer_files import added

# Forward passes of other lengths round differently.
ROUNDING = {'rtol': 2e-4, 'atol': 2e-4}
TOKENIZER = SOURCE / 'assets' / 'tokenizer' / 'tokenizer.pkl'
ORACLE = os.environ.get('KAPPASCOPE_ORACLE')
SLOT_NUMBERS = ('kappa_input', 'kappa_mean', 'gate_mean_abs', 'gate_kz_rms', 'expert_output_norm')

CHAT = [{'role': 'system', 'content': 'Be brief.'},
        {'role': 'user', 'content': 'What is 12*12? <|assistant_start|>'},
        {'role': 'assistant', 'content': [{'type': 'text', 'text': 'Let me see: '}, {'type': 'python', 'text': '12*12'},
                                          {'type': 'python_output', 'text': '144'}, {'type': 'text', 'text': 'It is 144.'}]},
        {'role': 'user', 'content': 'Thank you, naïve 日本 machine.'}, {'role': 'assistant', 'content': 'You are welcome.'}]

CHATML = ("{% for message in messages %}{{ '<s>' + message.role + '\\n' + message.content + '</s>' + '\\n' }}"
          "{% endfor %}")
INST = ("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content|trim }} [/INST]"
        "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}")
GENERATION = ("{% for m in messages %}\n{% if m.role == 'assistant' %}\nA: {% generation %}{{ m.content }}{{ eos_token }}"
              "{% endgeneration %}\n{% else %}\n{{ m.role }}: {{ m.content }}\n{% endif %}\n{% endfor %}")

# Reads lines {folder, template, messages}; prints ids and mask of each.
PEER = '''
import json, sys
from transformers import PreTrainedTokenizerFast
for line in sys.stdin:
    one = json.loads(line)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=one['folder'] + '/tokenizer.json', bos_token='<s>', eos_token='</s>')
    found = tokenizer.apply_chat_template(one['messages'], chat_template=one['template'], tokenize=True, return_dict=True,
                                          return_assistant_tokens_mask='generation' in one['template'])
    print(json.dumps([found['input_ids'], found.get('assistant_masks')]))
'''


def rendered(messages):
    """nanochat's render_conversation, of turns that alternate."""
    encoding = pickle.loads(TOKENIZER.read_bytes())
    special = encoding._special_tokens
    ids, mask = [special['<|bos|>']], [0]

    def add(tokens, supervised):
        ids.extend(tokens)
        mask.extend([supervised] * len(tokens))

    if messages[0]['role'] == 'system':
        first = messages[0]['content'] + '\n\n' + messages[1]['content']
        messages = [{'role': 'user', 'content': first}, *messages[2:]]
    for message in messages:
        role, content = message['role'], message['content']
        supervised = int(role == 'assistant')
        add([special[f'<|{role}_start|>']], 0)
        for part in content if isinstance(content, list) else [{'type': 'text', 'text': content}]:
            kind = {'text': '', 'python': 'python', 'python_output': 'output'}[part['type']]
            own = supervised if kind != 'output' else 0
            add([special[f'<|{kind}_start|>']] if kind else [], own)
            add(encoding.encode_ordinary(part['text']), own)
            add([special[f'<|{kind}_end|>']] if kind else [], own)
        add([special[f'<|{role}_end|>']], supervised)
    return ids, mask


class ChatTest(Case):
    def chat_file(self, messages, name='chat.json'):
        file = self.folder / name
        file.write_text(json.dumps({'messages': messages}))
        return file

    def chats(self, count, seed=3):
        text = (TEXTS / 'prose.txt').read_text()
        draw = random.Random(seed)

        def piece():
            at = draw.randrange(len(text) - 200)
            return text[at:at + draw.randrange(10, 200)]
        return [[{'role': role, 'content': piece()} for _ in range(draw.randrange(1, 3)) for role in ('user', 'assistant')]
                for _ in range(count)]

    def chat_lines(self, chats):
        file = self.folder / 'chats.jsonl'
        file.write_text(''.join(json.dumps({'messages': chat}) + '\n' for chat in chats))
        return file

    def open(self, path):
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def test_nanochat_as_it_is_trained(self):
        said = json.loads(self.run_program('tokens', MODEL, '-f', self.chat_file(CHAT), '--chat', '--json')[0])
        ids, mask = rendered(CHAT)
        self.assertEqual(said['token_id'], ids)
        self.assertEqual(said['token_mask'], [bool(own) for own in mask])

    def test_a_run_counts_the_assistants_tokens_alone(self):
        out, every = self.folder / 'out', self.folder / 'every'
        file = self.chat_file(CHAT)
        words = ('run', MODEL, '-f', file, '--chat', '-q')
        self.run_program(*words, '--only', 'assistant', '-o', out, '--record', 'gates', '--figures',
                         'kappa-depth,kappa-tokens,loss,expert-drops')
        self.run_program(*words, '-o', every, '--figures', 'none')
        confined, trace = self.open(out / 'trace.npz'), self.open(every / 'trace.npz')
        ids, mask = rendered(CHAT)
        mask = np.array(mask, bool)
        for recorded in (confined, trace):
            np.testing.assert_array_equal(recorded['token_id'], ids)
            np.testing.assert_array_equal(recorded['token_mask'], mask)
        for name in ('expert_index', 'nll', 'kappa_mean', 'router_entropy'):
            np.testing.assert_array_equal(confined[name], trace[name])  # of all tokens
        meta = json.loads(str(confined['kappascope_meta']))
        self.assertEqual((meta['only'], meta['chat']), ('assistant', {'format': 'nanochat'}))
        self.check_sums(confined, mask)
        summary = json.loads((out / 'summary.json').read_text())
        self.assertEqual(summary['only'], 'assistant')
        self.assertEqual(summary['tokens'], mask.sum())
        np.testing.assert_allclose(summary['nll_mean'], trace['nll'][mask].mean(), rtol=1e-5)
        for row, layer in enumerate(summary['layers']):
            self.check_layer(row, layer, trace, mask)
        whole = json.loads((every / 'summary.json').read_text())
        self.assertEqual(whole['tokens'], len(ids))
        self.assertNotIn('only', whole)
        said = self.run_program('compare', every, out, '-o', self.folder / 'both', code=2)[1]
        self.assertIn("statistics; expected of all tokens, as in", said)
        self.assertFalse((self.folder / 'both').exists())
        for figure, confined_to, tokens in (('kappa-depth', True, mask.sum()), ('kappa-tokens', False, len(ids)),
                                            ('loss', False, len(ids)), ('expert-drops', True, len(ids))):
            picture = (out / 'figures' / f'{figure}.svg').read_text()
            self.assertEqual('statistics of the assistant' in picture, confined_to, figure)
            self.assertIn(f'{tokens} tokens', picture)
        self.assertIn("mean of the assistant's tokens", (out / 'figures' / 'loss.svg').read_text().replace('&#39;', "'"))
        header, first = (out / 'tokens.csv').read_bytes().decode().split('\r\n')[:2]
        self.assertTrue(header.endswith(',token_mask') and first.endswith(',false'), first)

    def check_sums(self, trace, mask):
        """What is added up over gates is that of the tokens' recorded gates."""
        for row, chosen in enumerate(trace['expert_index']):
            ran = trace['expert_kept'][row] & mask[:, None]
            gates = trace['gate_pre'].shape[-1]
            counts = np.bincount(chosen[ran], minlength=trace['effect_count'].shape[1]) * gates
            np.testing.assert_array_equal(trace['effect_count'][row], counts)
            np.testing.assert_array_equal(trace['gate_pre_hist'][row].sum(-1), counts)
            z, kappa = (trace[name][row][ran].astype(float) for name in ('gate_pre', 'kappa'))
            effect = z / (1 + np.exp(-kappa * z)) - z / (1 + np.exp(-z))
            means = trace['effect_mean'][row]
            np.testing.assert_allclose(np.nansum(means * counts) / counts.sum(), effect.mean(), rtol=1e-4, atol=1e-7)

    def check_layer(self, row, layer, trace, mask):
        experts = trace['router_logits'].shape[2]
        chosen, ran = trace['expert_index'][row][mask], trace['expert_kept'][row][mask]
        load = np.bincount(chosen.ravel(), minlength=experts)
        np.testing.assert_allclose(layer['load'], load / load.sum())
        np.testing.assert_allclose(layer['router_entropy'], trace['router_entropy'][row][mask].mean(), rtol=1e-5)
        np.testing.assert_allclose(layer['kappa']['mean'], trace['kappa_mean'][row][mask][ran].mean(), rtol=1e-5)
        np.testing.assert_allclose(layer['gate_kz_rms'], trace['gate_kz_rms'][row][mask][ran].mean(), rtol=1e-5)
        near = (trace['router_margin'][row][mask] >= 0) & (trace['router_margin'][row][mask] < 1e-3)
        self.assertEqual(layer['near_ties'], near.sum())
        self.assertEqual(layer['nonfinite_tokens'], 0)
        self.assertNotIn('as_logged', layer)
        of_all, pairs = trace['expert_index'][row], []
        for t in np.flatnonzero(mask[:-1] & mask[1:]):
            pairs.append(len(set(of_all[t]) & set(of_all[t + 1])) / len(of_all[t]))
        np.testing.assert_allclose(layer['neighbour_overlap'], np.mean(pairs))

    def test_a_corpus_is_its_chats_added_up(self):
        file = self.chat_lines(self.chats(6))
        out, runs = self.folder / 'out', self.folder / 'runs'
        self.run_program('stats', MODEL, '--corpus', file, '--chat', '--only', 'assistant', '-o', out, '-q', '--no-capacity')
        self.run_program('run', MODEL, '-f', file, '--chat', '--only', 'assistant', '-o', runs, '-q', '--no-capacity',
                         '--format', 'npz')
        ours = self.open(out / 'stats.npz')
        traces = [self.open(path) for path in sorted(runs.glob('*/trace.npz'))]
        self.assertEqual(len(traces), 6)
        self.assertEqual(json.loads((out / 'stats.json').read_text())['only'], 'assistant')
        masks = [trace['token_mask'] for trace in traces]
        self.assertEqual(ours['tokens'], sum(mask.sum() for mask in masks))
        nll = np.concatenate([trace['nll'][mask] for trace, mask in zip(traces, masks)]).astype(float)
        self.assertEqual(ours['nll_count'], nll.size)
        np.testing.assert_allclose(ours['nll_sum'], nll.sum(), **ROUNDING)
        for row in range(len(ours['assigned'])):
            self.check_row(row, ours, traces, masks)

    def check_row(self, row, ours, traces, masks):
        def all_of(name):
            return np.concatenate([trace[name][row][mask] for trace, mask in zip(traces, masks)])
        chosen, ran, experts = all_of('expert_index'), all_of('expert_kept'), ours['assigned'].shape[1]
        np.testing.assert_array_equal(ours['assigned'][row], np.bincount(chosen.ravel(), minlength=experts))
        for name in SLOT_NUMBERS:
            values = all_of(name)[ran].astype(float)
            self.assertEqual(ours[f'{name}_count'][row], values.size)
            np.testing.assert_allclose(ours[f'{name}_sum'][row], values.sum(), err_msg=name, **ROUNDING)
        self.assertEqual(ours['router_entropy_count'][row], len(chosen))
        counts = sum(trace['effect_count'][row] for trace in traces)
        np.testing.assert_array_equal(np.nan_to_num(ours['effect_count'][row]), counts)
        for name in ('kappa_hist', 'gate_pre_hist'):
            counted = sum(trace[name][row] for trace in traces)
            self.assertLess(np.abs(ours[name][row] - counted).sum(), 1e-3 * counted.sum(), name)

    def test_pieces_and_windows_of_a_chat_longer_than_a_call(self):
        file = self.chat_lines([sum(self.chats(6), [])])
        words = ('stats', MODEL, '--corpus', file, '--chat', '--only', 'assistant', '-q', '--no-capacity')
        self.run_program(*words, '--call-tokens', 64, '-o', self.folder / 'cut')
        self.run_program(*words, '--call-tokens', 64, '--window', '-o', self.folder / 'window')
        ids, mask = rendered(json.loads(file.read_text())['messages'])
        for name in ('cut', 'window'):
            found = self.open(self.folder / name / 'stats.npz')
            self.assertEqual(found['tokens'], sum(mask), name)
            self.assertEqual(found['nll_count'], sum(mask), name)
        self.assertGreater(len(ids), 256)

    def test_one_chat_that_cannot_be_used_is_named(self):
        file = self.folder / 'chats.jsonl'
        file.write_text(json.dumps({'messages': CHAT}) + '\n{"messages": [{"role": "tool", "content": "x"}]}\n')
        said = self.run_program('stats', MODEL, '--corpus', file, '--chat', '-o', self.folder / 'out', code=8)[1]
        self.assertIn('chats.jsonl:2: message 1: expected the role assistant, found "tool"', said)
        failures = json.loads((self.folder / 'out' / 'stats.json').read_text())['corpus']['failures']
        self.assertEqual(len(failures), 1)

    def test_refusals(self):
        file, corpus = self.chat_file(CHAT), ('--corpus', self.chat_lines([CHAT]), '-o', self.folder / 'out')
        self.assert_refused(2, 'run', MODEL, '-f', file, '--only', 'assistant', says='--only assistant is for chats')
        self.assert_refused(2, 'stats', MODEL, *corpus, '--only', 'assistant', says='--only assistant is for chats')
        self.assert_refused(2, 'run', MODEL, '-p', 'x', '--chat', says='--chat is for -f FILE')
        self.assert_refused(2, 'stats', MODEL, *corpus, '--chat', '--text-field', 'x', says='give one of them')
        (self.folder / 'bad.json').write_text('{"text": "x"}')
        self.assert_refused(3, 'tokens', MODEL, '-f', self.folder / 'bad.json', '--chat', says='bad.json: expected an object')

    def test_a_tokenizer_without_chats_is_refused_by_the_token_it_lacks(self):
        plain = tiktoken.Encoding('plain', pat_str='.', mergeable_ranks={bytes([i]): i for i in range(256)},
                                  special_tokens={'<|bos|>': 256, '<|user_start|>': 257})
        folder = self.folder / 'tokenizer'
        folder.mkdir()
        (folder / 'tokenizer.pkl').write_bytes(pickle.dumps(plain))
        self.assert_refused(4, 'tokens', folder / 'tokenizer.pkl', '-f', self.chat_file(CHAT), '--chat',
                            says='needs the special token <|user_end|>, which the tokenizer does not have')

    def template_folder(self, source, template, name):
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(pathlib.Path(source) / 'tokenizer.json', folder)
        tokenizer = json.loads((folder / 'tokenizer.json').read_text())
        known = {token['content'] for token in tokenizer['added_tokens']}
        last = max(tokenizer['model']['vocab'].values())
        for token in ('<s>', '</s>'):
            if token not in known:
                last += 1
                tokenizer['added_tokens'].append(added(tokenizer['model']['vocab'].get(token, last), token))
        (folder / 'tokenizer.json').write_text(json.dumps(tokenizer))
        (folder / 'tokenizer_config.json').write_text(json.dumps({'bos_token': '<s>', 'eos_token': '</s>',
                                                                 'chat_template': template}))
        return folder

    def test_a_batch_goes_on_with_the_same_template(self):
        if not ORACLE:
            self.skipTest('KAPPASCOPE_ORACLE is not set')
        model, out = f'{ORACLE}/hf/qwen3-moe', self.folder / 'batch'
        chats = [self.folder / f'{name}.json' for name in ('one', 'two')]
        for chat in chats:
            chat.write_text(json.dumps({'messages': [{'role': 'user', 'content': chat.stem}]}))
        plain = '{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}'
        for name, template, code in (('first', plain, 0), ('again', plain, 0), ('other', plain + '!', 5)):
            tokenizer = self.template_folder(model, template, name).rename(self.folder / 'tokenizer')
            err = self.run_program('run', model, '--tokenizer', tokenizer, '--chat', '-f', *chats, '-o', out, '--skip-done',
                                   '--format', 'npz', code=code)[1]
            self.assertEqual('another batch' in err, code == 5, err)
            shutil.rmtree(tokenizer)

    def test_templates_as_transformers_renders_them(self):
        if not ORACLE:
            self.skipTest('KAPPASCOPE_ORACLE is not set')
        cases, ours = [], []
        for name, template in (('chatml', CHATML), ('inst', INST), ('generation', GENERATION)):
            folder = self.template_folder(f'{ORACLE}/hf/qwen3-moe', template, name)
            messages = [{'role': 'user', 'content': ' naïve 日本 </s> '}, {'role': 'assistant', 'content': 'One two.\n'},
                        {'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'Yes'}]
            said = self.run_program('tokens', folder, '-f', self.chat_file(messages), '--chat', '--json')[0]
            cases.append(json.dumps({'folder': str(folder), 'template': template, 'messages': messages}))
            ours.append(json.loads(said))
        command, environment = start_words('-c', PEER)
        try:
            found = subprocess.run(command, capture_output=True, text=True, env=environment, input='\n'.join(cases) + '\n')
        except OSError:
            self.skipTest('no transformers')
        if found.returncode:
            self.skipTest('no transformers: ' + found.stderr[-200:])
        for theirs, own in zip(map(json.loads, found.stdout.splitlines()), ours, strict=True):
            self.assertEqual(own['token_id'], theirs[0])
            self.assertTrue(0 < sum(own['token_mask']) < len(own['token_mask']))
            if theirs[1] and any(theirs[1]):
                self.assertEqual(own['token_mask'], [bool(one) for one in theirs[1]])


main()
