"""Makers of tokenizer.json and tokenizer.model, and what a few lines of Python say of their ids."""
import struct

SPACE = '\u2581'
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_signs():
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {
        byte: chr(256 + i) for i, byte in enumerate(hidden)}


SIGNS = byte_signs()


def signs(text):
    return ''.join(SIGNS[byte] for byte in text.encode())


def added(number, content, **flags):
    return {'id': number, 'content': content, 'single_word': False, 'lstrip': False,
            'rstrip': False, 'normalized': False, 'special': True} | flags


class Vocabulary:
    """Tokens and merges, each merge a pair of tokens that are there."""

    def __init__(self, first):
        self.ids = {token: i for i, token in enumerate(first)}
        self.merges = []

    def merge(self, left, right):
        self.merges.append((left, right))
        self.ids.setdefault(left + right, len(self.ids))

    def encode(self, parts):
        """The definition: the pair of lowest rank first, of equals the leftmost."""
        ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        while True:
            pairs = [(ranks[pair], at) for at, pair in enumerate(zip(parts, parts[1:]))
                     if pair in ranks]
            if not pairs:
                return [self.ids[part] for part in parts]
            at = min(pairs)[1]
            parts = [*parts[:at], parts[at] + parts[at + 1], *parts[at + 2:]]


def bytes_vocabulary():
    vocabulary = Vocabulary(['<|end|>', *SIGNS.values()])
    for pair in ('h e', 'l l', 'he ll', 'hell o', 'Ġ w', 'o r', 'Ġw or', 'l d', 'Ã ©', 'Ġ Ġ',
                 'ĠĠ ĠĠ', 'a a', 'aa aa', 'aaaa aaaa'):
        vocabulary.merge(*pair.split(' '))
    return vocabulary


def byte_level(vocabulary, **changes):
    model = {'type': 'BPE', 'dropout': None, 'unk_token': None, 'fuse_unk': False,
             'byte_fallback': False, 'vocab': vocabulary.ids,
             'merges': [list(pair) for pair in vocabulary.merges]}
    return {'version': '1.0', 'truncation': None, 'padding': None,
            'added_tokens': [added(0, '<|end|>')], 'normalizer': None,
            'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [
                {'type': 'Split', 'pattern': {'Regex': WORDS}, 'behavior': 'Isolated',
                 'invert': False},
                {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True,
                 'use_regex': False}]},
            'post_processor': None, 'decoder': {'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': True,
                                                       'use_regex': True}, 'model': model} | changes


def fallback_vocabulary():
    first = ['<unk>', '<s>', '</s>', *[f'<0x{byte:02X}>' for byte in range(256)]]
    vocabulary = Vocabulary([*first, SPACE, *'abcdehlorw'])
    for pair in (f'{SPACE} h', 'l l', 'e ll', f'{SPACE}h ell', 'o r', f'{SPACE} w', 'a a', 'aa aa'):
        vocabulary.merge(*pair.split(' '))
    return vocabulary


def byte_fallback(vocabulary, **changes):
    model = {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'fuse_unk': True,
             'byte_fallback': True, 'vocab': vocabulary.ids,
             'merges': [' '.join(pair) for pair in vocabulary.merges]}
    return {'version': '1.0', 'added_tokens': [added(0, '<unk>'), added(1, '<s>'),
                                               added(2, '</s>')],
            'normalizer': {'type': 'Sequence', 'normalizers': [
                {'type': 'Prepend', 'prepend': SPACE},
                {'type': 'Replace', 'pattern': {'String': ' '}, 'content': SPACE}]},
            'pre_tokenizer': None,
            'post_processor': {'type': 'TemplateProcessing', 'single': [
                {'SpecialToken': {'id': '<s>', 'type_id': 0}},
                {'Sequence': {'id': 'A', 'type_id': 0}}], 'pair': [],
                'special_tokens': {'<s>': {'id': '<s>', 'ids': [1], 'tokens': ['<s>']}}},
            'decoder': {'type': 'Sequence', 'decoders': [
                {'type': 'Replace', 'pattern': {'String': SPACE}, 'content': ' '},
                {'type': 'ByteFallback'}, {'type': 'Fuse'},
                {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]}, 'model': model} | changes


def varint(value):
    out = b''
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack('<f', value)
    if isinstance(value, (bool, int)):
        return varint(number << 3) + varint(int(value))
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def sentencepiece(vocabulary, more=(), trainer=b'', normalizer=b'', kind=2):
    """The message ModelProto with the tokens of byte_fallback; scores fall with the merges."""
    joined = [''.join(pair) for pair in vocabulary.merges]
    pieces = b''
    for token in vocabulary.ids:
        score = -float(joined.index(token)) if token in joined else -1000.0
        type_ = (2 if token == '<unk>' else 3 if token in ('<s>', '</s>')
                 else 6 if token.startswith('<0x') else 1)
        pieces += field(1, field(1, token) + field(2, score) + field(3, type_))
    for token, type_ in more:
        pieces += field(1, field(1, token) + field(2, 0.0) + field(3, type_))
    return (pieces + field(2, field(3, kind) + field(35, True) + trainer)
            + field(3, field(1, 'identity') + field(3, True) + field(4, False) + normalizer))


def variants():
    """Files with one component each that is not in the two plain ones."""
    bytes_, fallback = byte_level(bytes_vocabulary()), byte_fallback(fallback_vocabulary())
    yield from (bytes_, fallback)
    pattern = lambda behavior, invert=False, regex=r'[ae]+|\s': {
        'type': 'Split', 'pattern': {'Regex': regex}, 'behavior': behavior, 'invert': invert}
    last = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': False}
    for step in (*[pattern(behavior, invert) for invert in (False, True) for behavior in (
            'Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous')],
                 pattern('Isolated', regex=r'l*'), pattern('Isolated', regex=r'\w$|^\W'),
                 {'type': 'Digits', 'individual_digits': True},
                 {'type': 'Digits', 'individual_digits': False}, {'type': 'Punctuation'},
                 {'type': 'Whitespace'}, {'type': 'WhitespaceSplit'},
                 {'type': 'Metaspace', 'replacement': 'l', 'prepend_scheme': 'first'},
                 {'type': 'CharDelimiterSplit', 'delimiter': 'a'}):
        yield bytes_ | {'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [step, last]}}
    for step in (*[{'type': name} for name in ('NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'Nmt',
                                               'StripAccents')],
                 {'type': 'Strip', 'strip_left': True, 'strip_right': False},
                 {'type': 'Replace', 'pattern': {'Regex': ' {2,}'}, 'content': '-a'}):
        yield bytes_ | {'normalizer': step}
    for scheme in ('always', 'first', 'never'):
        for split in (True, False):
            yield fallback | {'normalizer': None, 'pre_tokenizer': {
                'type': 'Metaspace', 'replacement': SPACE, 'prepend_scheme': scheme,
                'split': split}}
