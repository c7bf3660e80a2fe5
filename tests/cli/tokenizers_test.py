"""Tokenizers of Hugging Face folders as users meet them: tokenizer.json, tokenizer.model, and what is
beside them. Expected ids are those of a few lines of Python (tokenizer_files.py), of the oracle where
KAPPASCOPE_ORACLE names it, and of the `tokenizers` package where it is installed."""
import json
import os
import pathlib
import random

import harness
from tokenizer_files import (SPACE, added, byte_fallback, byte_level, bytes_vocabulary, fallback_vocabulary,
                             field, sentencepiece, signs, variants)


class TokenizerCase(harness.Case):
    def write(self, content, name='tokenizer.json', folder='tokenizer'):
        path = self.folder / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def ids(self, path, text, *words):
        # Not as a word: some texts have a NUL.
        out, _ = self.run_program('tokens', path, '-f', '-', '--json', *words, input=text.encode())
        return json.loads(out)['token_id']

    def spans(self, path, text):
        out, _ = self.run_program('tokens', path, '-p', text)
        return [line[16:28].strip() for line in out.splitlines()[1:]]

    def refused(self, content, code, words, name='tokenizer.json'):
        path = self.write(content, name)
        _, err = self.run_program('tokens', path, '-p', 'a', code=code)
        self.assertEqual(err, f'kappascope: {path}: {words}\n')


class Tokenizers(TokenizerCase):
    def test_bytes_by_definition(self):
        vocabulary = bytes_vocabulary()
        path = self.write(byte_level(vocabulary))
        self.assertEqual(
            self.ids(path, "hello world  é'S"),
            [*vocabulary.encode(list('hello')), *vocabulary.encode(list('Ġworld')),
             *vocabulary.encode(['Ġ']), *vocabulary.encode(list(signs(' é'))),
             *vocabulary.encode(list("'S"))])
        self.assertEqual(self.spans(path, 'é語'), ['0-1', '1-2', '1-2', '1-2'])
        # Special tokens in a text are found; the folder, and any folder, will do.
        self.assertEqual(self.ids(path.parent, 'a<|end|>'), [vocabulary.ids['a'], 0])
        out, _ = self.run_program('tokens', path.parent.name, '-p', 'a', '--json',
                                  cwd=path.parent.parent)
        self.assertEqual(json.loads(out)['token_id'], [vocabulary.ids['a']])

    def test_byte_fallback_by_definition(self):
        vocabulary = fallback_vocabulary()
        path = self.write(byte_fallback(vocabulary))
        known = lambda text: vocabulary.encode(list(text))
        self.assertEqual(self.ids(path, 'hell  owor'),
                         [1, *known(f'{SPACE}hell{SPACE}{SPACE}owor')])
        self.assertEqual(self.ids(path, 'é'), [1, *known(SPACE), *vocabulary.encode(
            ['<0xC3>', '<0xA9>'])])
        self.assertEqual(self.ids(path, 'a</s>a'), [1, *known(f'{SPACE}a'), 2,
                                                    *known(f'{SPACE}a')])
        self.assertEqual(self.spans(path, 'é w'), ['', '0-0', '0-1', '0-1', '1-3'])
        out, _ = self.run_program('tokens', path, '-p', 'hell\n', '--json')
        self.assertEqual(json.loads(out)['token_bytes_hex'], ['3c733e', '2068656c6c', '0a'])

    def test_sentencepiece_equals_its_conversion(self):
        vocabulary = fallback_vocabulary()
        converted = self.write(byte_fallback(vocabulary, post_processor=None), folder='json')
        model = self.write(sentencepiece(vocabulary), 'tokenizer.model', 'model')
        for text in ('hell  owor aaaaaa', ' \u2581x', 'é\n', 'a<s>a</s>', ' '):
            self.assertEqual(self.ids(model, text), self.ids(converted, text), text)
        self.write({'add_bos_token': True, 'bos_token': '<s>'}, 'tokenizer_config.json', 'model')
        self.assertEqual(self.ids(model, 'a')[0], 1)

    def test_sentencepiece_settings(self):
        vocabulary = fallback_vocabulary()
        number = len(vocabulary.ids)
        known = lambda text: vocabulary.encode(list(text))
        user = self.write(sentencepiece(vocabulary, more=[('lla', 4)]), 'tokenizer.model')
        self.assertEqual(self.ids(user, 'hello llac'),
                         [*known(f'{SPACE}hello{SPACE}'), number, *known('c')])
        tidy = self.write(sentencepiece(vocabulary, normalizer=field(4, True)), 'tokenizer.model')
        self.assertEqual(self.ids(tidy, '  a   w '), known(f'{SPACE}a{SPACE}w'))
        bare = self.write(sentencepiece(vocabulary, normalizer=field(3, False)), 'tokenizer.model')
        self.assertEqual(self.ids(bare, 'a w'), known(f'a{SPACE}w'))

    def test_what_a_text_begins_with(self):
        vocabulary = fallback_vocabulary()
        text = vocabulary.encode([SPACE, 'a'])
        path = self.write(byte_fallback(vocabulary))
        model = self.write(sentencepiece(vocabulary), 'tokenizer.model', 'model')
        for config, expected in (
                ({'add_bos_token': False}, text),
                ({'add_bos_token': True, 'bos_token': '<s>'}, [1, *text]),
                ({'add_eos_token': True, 'eos_token': {'content': '</s>'}}, [*text, 2]),
                ({'add_bos_token': True, 'bos_token': None}, text),
                ({'bos_token': '<s>'}, text)):
            self.write(config, 'tokenizer_config.json')
            self.write(config, 'tokenizer_config.json', 'model')
            self.assertEqual(self.ids(path, 'a'), [1, *text], config)  # the post-processor's
            self.assertEqual(self.ids(model, 'a'), expected, config)

    def test_what_a_sentencepiece_configuration_adds(self):
        vocabulary = fallback_vocabulary()
        number, one = len(vocabulary.ids), vocabulary.encode
        model = self.write(sentencepiece(vocabulary), 'tokenizer.model')
        self.write({'add_bos_token': True}, 'tokenizer_config.json')  # what the model calls so
        self.assertEqual(self.ids(model, 'a'), [1, *one([SPACE, 'a'])])
        self.write({'legacy': None}, 'tokenizer_config.json')  # false: no space after a token
        self.assertEqual(self.ids(model, '<s>a'), [1, *one(['a'])])
        self.write({'legacy': True}, 'tokenizer_config.json')
        self.assertEqual(self.ids(model, '<s>a'), [1, *one([SPACE, 'a'])])
        # Of before there was a table, and in the table; as they are written, whatever they say.
        self.write({'<|n|>': number}, 'added_tokens.json')
        self.write({'cls_token': '<|m|>'}, 'special_tokens_map.json')
        self.assertEqual(self.ids(model, 'a<|n|><|m|>'), [*one([SPACE, 'a']), number, number + 1])
        self.write({'added_tokens_decoder': {str(number): added(number, '<|o|>', normalized=True)}},
                   'tokenizer_config.json')
        self.assertEqual(self.ids(model, 'a<|o|>'), [*one([SPACE, 'a']), number])
        self.assertNotIn(number, self.ids(model, '<|n|>'))
        last = max(vocabulary.ids.values())
        self.write({'added_tokens_decoder': {str(last): added(last, '<think>')}}, 'tokenizer_config.json')
        self.assertEqual(self.ids(model, 'a<think>'), [*one([SPACE, 'a']), last])

    def test_special_tokens_of_the_configuration(self):
        vocabulary = fallback_vocabulary()
        path = self.write(byte_fallback(vocabulary, post_processor=None))
        number = len(vocabulary.ids)
        self.write({'pad_token': 'hell', 'image_token': '<img>', 'additional_special_tokens': [
            '<x>'], 'added_tokens_decoder': {'1': added(1, '<s>', rstrip=True)}},
            'tokenizer_config.json')
        one = vocabulary.encode
        self.assertEqual(self.ids(path, 'a<s>  hell<img><x>'), [
            *one([SPACE, 'a']), 1, vocabulary.ids.get('hell', number), number + 1, number + 2])
        self.write({'split_special_tokens': True}, 'tokenizer_config.json')
        self.assertNotIn(1, self.ids(path, '<s>'))
        self.write({'added_tokens_decoder': {'7': added(7, '<new>')}}, 'tokenizer_config.json')
        _, err = self.run_program('tokens', path, '-p', 'a', code=3)
        self.assertIn('the added token "<new>"; expected the id', err)

    def test_a_text_without_tokens(self):
        path = self.write(byte_level(bytes_vocabulary()))
        self.assertEqual(self.ids(path, ''), [])
        model = harness.MODEL
        _, err = self.run_program('tokens', model, '-p', '', '--tokenizer', path, code=4)
        self.assertIn('the text has no tokens', err)
        self.assertEqual(self.ids(model, 'a', '--tokenizer', path.parent), self.ids(path, 'a'))

    def test_flags_of_added_tokens(self):
        vocabulary = bytes_vocabulary()
        number = len(vocabulary.ids)
        tokens = [added(0, '<|end|>', lstrip=True), added(number, 'ell', single_word=True),
                  added(number + 1, '<x>', rstrip=True, special=False),
                  added(number + 2, 'WORD', normalized=True, special=False)]
        path = self.write(byte_level(vocabulary, added_tokens=tokens,
                                     normalizer={'type': 'Lowercase'}))
        one = vocabulary.ids
        self.assertEqual(self.ids(path, 'a  <|end|>a'), [one['a'], 0, one['a']])
        self.assertEqual(self.spans(path, 'a  <|end|>a'), ['0-1', '1-10', '10-11'])
        self.assertEqual(self.ids(path, 'a ell'), [one['a'], one['Ġ'], number])
        self.assertEqual(self.ids(path, 'hello'), [one['hello']])
        self.assertEqual(self.ids(path, '<x> \n a<x>'), [number + 1, one['a'], number + 1])
        self.assertEqual(self.ids(path, 'aWord'), [one['a'], number + 2])

    def test_cost_does_not_grow_with_the_square(self):
        """The square of a million would not end before run_program gives up."""
        vocabulary = bytes_vocabulary()
        files = [self.write(byte_level(vocabulary)), self.write(byte_fallback(
            fallback_vocabulary()), folder='fallback')]
        for path in files:
            for text in ('a' * 2**20, 'hw' * 2**19, ' ' * 2**20, '\u0301' * 2**18):
                source = self.folder / 'long.txt'
                source.write_text(text)
                out, _ = self.run_program('tokens', path, '-f', source, '--json')
                self.assertGreater(len(json.loads(out)['token_id']), 1)

    def test_what_is_not_read_is_named(self):
        tokens = bytes_vocabulary()
        good = byte_level(tokens)
        with_model = lambda **fields: good | {'model': good['model'] | fields}
        split = {'type': 'Split', 'pattern': {'Regex': 'a'}, 'behavior': 'Isolated', 'invert': False}
        for content, code, words in (
                (with_model(type='Unigram'), 4, 'model.type; expected BPE, found "Unigram"'),
                (with_model(type='WordPiece'), 4, 'model.type; expected BPE, found "WordPiece"'),
                (with_model(dropout=0.5), 4, 'model.dropout; expected null or 0, found 0.5'),
                (with_model(end_of_word_suffix='</w>'), 4,
                 'model.end_of_word_suffix; expected null or "", found "</w>"'),
                (with_model(merges=[['q', 'qq']]), 3,
                 'model.merges[0]: "qq" is not a token of model.vocab'),
                (with_model(merges=['a b c']), 3, 'model.merges[0]; expected "LEFT RIGHT" or '
                 '["LEFT", "RIGHT"], found "a b c"'),
                (with_model(vocab={'a': 1, 'b': 1}), 3, 'model.vocab: two tokens have the id 1'),
                (with_model(vocab={'a': -1}), 3, 'model.vocab, token "a"; expected an id from 0 to '
                 '16777215, found -1'),
                (with_model(unk_token='<none>'), 3,
                 'model.unk_token "<none>" is not a token of model.vocab'),
                (good | {'version': '2.0'}, 4, 'version; expected "1.0", found "2.0"'),
                (good | {'normalizer': {'type': 'Precompiled', 'precompiled_charsmap': ''}}, 4,
                 'normalizer.type; expected one of NFC, NFD, NFKC, NFKD, Lowercase, Nmt, Prepend, '
                 'Replace, Strip, StripAccents, Sequence, found "Precompiled"'),
                (good | {'pre_tokenizer': {'type': 'UnicodeScripts'}}, 4,
                 'pre_tokenizer.type; expected one of ByteLevel, Split, Metaspace, Digits, '
                 'Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, Sequence, '
                 'found "UnicodeScripts"'),
                (good | {'pre_tokenizer': split | {'behavior': 'Kept'}}, 4,
                 'pre_tokenizer.behavior; expected Removed, Isolated, MergedWithPrevious, '
                 'MergedWithNext or Contiguous, found "Kept"'),
                (good | {'pre_tokenizer': split | {'pattern': {'Regex': '(?<n>a)'}}}, 4,
                 'the pattern has "(?<" at byte 0, which is not supported'),
                (good | {'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [
                    {'type': 'ByteLevel', 'add_prefix_space': False}, split]}}, 4,
                 'pre_tokenizer.pretokenizers[1] (Split) follows ByteLevel; expected ByteLevel last'),
                (good | {'post_processor': {'type': 'BertProcessing'}}, 4,
                 'post_processor.type; expected one of ByteLevel, TemplateProcessing, Sequence, '
                 'found "BertProcessing"'),
                (good | {'decoder': {'type': 'WordPiece'}}, 4,
                 'decoder.type; expected one of ByteLevel, Replace, ByteFallback, Fuse, Strip, '
                 'Metaspace, Sequence, found "WordPiece"'),
                (good | {'added_tokens': [added(7, '<|end|>')]}, 3,
                 'the added token "<|end|>"; expected the id 0, which the token has in the '
                 'vocabulary, found 7'),
                (good | {'added_tokens': [added(2, '<new>')]}, 3,
                 f'the added token "<new>"; expected the id {len(tokens.ids)}, the next after the '
                 "vocabulary's, found 2"),
                (good | {'added_tokens': [{'id': 1}]}, 3, 'added_tokens[0]; expected an object with '
                 '"id" and "content", found {"id":1}'),
                ([], 3, 'expected an object with a "model", found []'),
                (b'{"model":', 3, 'offset 8: invalid JSON: syntax error while parsing value - '
                 'unexpected end of input; expected \'[\', \'{\', or a literal')):
            with self.subTest(words):
                self.refused(content, code, words)

    def test_what_is_not_read_of_sentencepiece_is_named(self):
        vocabulary = fallback_vocabulary()
        for content, code, words in (
                (sentencepiece(vocabulary, kind=1), 4,
                 'trainer_spec.model_type; expected BPE, found unigram'),
                (sentencepiece(vocabulary, kind=9), 4,
                 'trainer_spec.model_type; expected BPE, found a model of type 9'),
                (sentencepiece(vocabulary, normalizer=field(1, 'nmt_nfkc') + field(2, b'abc')), 4,
                 'normalizer_spec.precompiled_charsmap; expected none (identity), found the table '
                 'of nmt_nfkc'),
                (sentencepiece(vocabulary, more=[('a', 1)]), 3,
                 f'pieces 260 and {len(vocabulary.ids)} are both "a"'),
                (sentencepiece(vocabulary, more=[('x', 7)]), 4,
                 f'pieces[{len(vocabulary.ids)}].type; expected 1 to 6, found 7'),
                (b'', 3, 'expected a SentencePiece model, found no pieces in it'),
                (b'\x0b', 3, 'offset 0: field 1; expected a wire type 0, 1, 2 or 5, found 3'),
                (b'\x0a\x05abc', 3, 'offset 2: a field ends too early; expected 5 bytes, found 3'),
                (b'\x08' + b'\xff' * 10, 3,
                 'offset 1: expected a number of at most 10 bytes, found a longer one'),
                (field(1, field(1, b'\xff')), 3,
                 'offset 4: pieces, field 1; expected UTF-8, found other bytes')):
            with self.subTest(words):
                self.refused(content, code, words, 'tokenizer.model')

    def test_files_that_are_missing(self):
        folder = self.folder / 'lists'
        folder.mkdir()
        for name in ('vocab.json', 'merges.txt'):
            (folder / name).write_text('')
        _, err = self.run_program('tokens', harness.MODEL, '-p', 'a', '--tokenizer', folder, code=5)
        self.assertEqual(err, f'kappascope: {folder}: no tokenizer; expected tokenizer.pkl, '
                         'tokenizer.json or tokenizer.model in this folder; vocab.json and '
                         'merges.txt are not read: `save_pretrained` of the tokenizer in '
                         'transformers writes a tokenizer.json\n')


class Oracle(TokenizerCase):
    KINDS = {'split-gpt4': 'qwen2-moe', 'bytelevel-gpt2': 'olmoe', 'llama-bytefallback': 'mixtral'}

    def setUp(self):
        super().setUp()
        if 'KAPPASCOPE_ORACLE' not in os.environ:
            self.skipTest('KAPPASCOPE_ORACLE is not set')
        self.oracle = pathlib.Path(os.environ['KAPPASCOPE_ORACLE'])

    def test_cases(self):
        cases = json.loads((self.oracle / 'tokenizer/cases.json').read_text())
        self.assertEqual(len(cases), 400)
        for kind, model in self.KINDS.items():
            path = self.oracle / 'hf' / model / 'tokenizer.json'
            for case in cases[::8]:  # tests/unit/tokenizer_test.cpp has them all
                self.assertEqual(self.ids(path, case['text']), case[kind], (kind, case['text']))


class Peer(TokenizerCase):
    """Random texts and components against the `tokenizers` package."""

    def setUp(self):
        super().setUp()
        try:
            import tokenizers
        except ImportError:
            self.skipTest('the package tokenizers is not installed')
        self.peer = tokenizers.Tokenizer

    def test_random_texts(self):
        chance = random.Random(20)
        signs_of_text = [*"  \n\t aaelhowrd'S.,123", 'é', 'e\u0301', '語', '🙂', '\u2581', 'İ', 'ﬁ',
                         '<|end|>', '</s>', '\u0301\u0316', '각', '\u1100\u1161\u11a8']
        texts = [''.join(chance.choices(signs_of_text, k=chance.randrange(40))) for _ in range(25)]
        for content in variants():
            path = self.write(content)
            peer = self.peer.from_file(str(path))
            for text in texts:
                self.assertEqual(self.ids(path, text), peer.encode(text).ids, (content, text))


if __name__ == '__main__':
    harness.main()
