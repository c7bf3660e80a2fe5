"""Files changed at random, read by our readers and by the Python packages of their formats: what ours take, those
take, with the same tensors and the same ids. One process of ours and one of theirs read all of a round.

   differential_test.py READ_FILES [SECONDS]"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / 'tests' / 'cli'))
sys.argv, ARGUMENTS = [sys.argv[0], str(SOURCE / 'build')], sys.argv[1:]  # the harness takes its build folder from there
import tokenizer_files  # noqa: E402
from peer_python import has_torch, start_words  # noqa: E402

READ_FILES = ARGUMENTS[0]
SECONDS = float(ARGUMENTS[1]) if len(ARGUMENTS) > 1 else 0  # 0: one round
FILES = 150  # of a kind in a round
SEED = int(os.environ.get('KAPPASCOPE_SEED', '1'))
TEXTS = ['', 'Hello hello world', ' a  b\n\n aaaa 12345', 'caf\u00e9 \u8a9e <|end|>x <s>']
NUMBERS = [0, 1, -1, 2, 7, 8, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 1.5, 10**30]

# Where ours takes a file and theirs does not, by intent. A pickle's objects of other classes, and texts that are no
# text, are left out of what is read, where torch.load stops at them, as are numbers that were written as text; of an
# archive's other records nothing is asked.
# Of a decoder only what gives the bytes of tokens is read.
INTENDED = {'torch': ('Unsupported global', 'Unsupported class', 'UnicodeDecodeError', 'failed reading file .',
                      'failed reading file byteorder', 'failed reading file version', 'hasRecord("version")',
                      'file in archive is not in a subdirectory', 'invalid literal for int()'),
            'safetensors': (), 'tokenizer': ('PyDecoderWrapper',)}
LONGEST = 240  # seconds for a list of files


def flipped(data, dice):
    """A few bytes changed, put in, left out, doubled, or the end cut off."""
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        at, kind = dice.randrange(len(data) + 1), dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = dice.choice(b'\x00\xff\x01 0123456789"[]{},.qRt')
        elif kind == 2:
            data[at:at] = dice.randbytes(dice.choice([1, 1, 2, 8]))
        elif kind == 3:
            del data[at:at + dice.choice([1, 1, 2, 8])]
        elif kind == 4:
            data[at:at] = data[max(0, at - dice.choice([1, 4, 30])):at]
        elif dice.random() < 0.2:
            del data[at:]
    return bytes(data)


def places(tree):
    """Every (container, key) in a JSON tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        yield tree, key
        yield from places(tree[key])


def changed_json(tree, dice):
    tree = json.loads(json.dumps(tree))
    for _ in range(dice.choice([1, 1, 2])):
        container, key = dice.choice(list(places(tree)))
        other = dice.choice(list(places(tree)))
        kind = dice.randrange(6)
        if kind == 0:
            del container[key]
        elif kind == 1:
            container[key] = dice.choice([*NUMBERS, None, True, False, '', 'x', [], {}, '\u2581'])
        elif kind == 2:
            container[key] = other[0][other[1]]
            tree = json.loads(json.dumps(tree))
        elif kind == 3 and isinstance(container[key], bool):
            container[key] = not container[key]
        elif kind == 4 and isinstance(container[key], int):
            container[key] += dice.choice([-1, 1])
        elif isinstance(container[key], str):
            container[key] = dice.choice([container[key][1:], container[key] + 'e', container[key].upper()])
        if not list(places(tree)):
            break
    return tree


def changed_safetensors(data, dice):
    if dice.random() < 0.4:
        return flipped(data, dice)
    size = int.from_bytes(data[:8], 'little')
    header, rest = data[8:8 + size], data[8 + size:]
    if dice.random() < 0.5:
        header = json.dumps(changed_json(json.loads(header), dice)).encode()
    else:
        header = flipped(header, dice)
    length = max(0, len(header) + (dice.choice([-1, 1, 8]) if dice.random() < 0.05 else 0))
    return length.to_bytes(8, 'little') + header + rest


def changed_torch(path, dice, out):
    """Bytes of the file, or, in an archive that is sound, of its pickle; a record more or less."""
    if dice.random() < 0.3:
        return out.write_bytes(flipped(path.read_bytes(), dice))
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, 'w', dice.choice([0, 0, 0, 8])) as changed:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith('data.pkl'):
                data = flipped(data, dice)
            elif dice.random() < 0.05:
                continue
            elif dice.random() < 0.05 and data:
                data = flipped(data, dice)
            changed.writestr(name, data)


class Pair:
    """A process that reads the files of a list, begun again behind one at which it ended."""

    def __init__(self, command, environment=None):
        self.command, self.environment = command, environment

    def read(self, lines):
        said = []
        while len(said) < len(lines):
            asked = '\n'.join(lines[len(said):]) + '\n'
            process = subprocess.Popen(self.command, env=self.environment, text=True, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                out, err = process.communicate(asked, timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            said += [json.loads(line) for line in out.splitlines()]
            if len(said) < len(lines):
                said.append({'code': -1, 'says': f'ended with {process.returncode}: {err[-2000:]}'})
        return said


class Differential(unittest.TestCase):
    def setUp(self):
        if not has_torch():
            self.skipTest('no Python with torch, safetensors and tokenizers; make bench installs one')
        kept = tempfile.TemporaryDirectory(prefix='kappascope-differential-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        self.addCleanup(kept.cleanup)
        self.folder = pathlib.Path(kept.name)
        peers = SOURCE / 'tests' / 'fuzz' / 'read_peers.py'
        command, environment = start_words('-B', peers, *TEXTS)
        self.theirs = Pair(command, environment)
        self.ours = Pair([READ_FILES, *TEXTS])
        command, environment = start_words('-B', peers, '--seeds', self.folder)
        subprocess.run(command, env=environment, check=True)
        for i, tree in enumerate(tokenizer_files.variants()):
            (self.folder / f'tokenizer-{i}').write_text(json.dumps(tree))
        self.seeds = sorted(self.folder.iterdir())
        self.counts = {kind: [0, 0, 0] for kind in INTENDED}  # files, taken by theirs, by both

    def made(self, seed, dice, out):
        kind = seed.name.split('-')[0]
        if kind == 'torch':
            changed_torch(seed, dice, out)
        elif kind == 'safetensors':
            out.write_bytes(changed_safetensors(seed.read_bytes(), dice))
        elif dice.random() < 0.15:
            out.write_bytes(flipped(seed.read_bytes(), dice))
        else:
            out.write_text(json.dumps(changed_json(json.loads(seed.read_text()), dice)))
        return f'{kind} {out}'

    def compare(self, lines, name):
        mine, others = self.ours.read(lines), self.theirs.read(lines)
        for line, our, their in zip(lines, mine, others):
            kind, path = line.split(' ', 1)
            self.counts[kind][0] += 1
            self.counts[kind][1] += 'code' not in their
            if 'code' in our:
                if our['code'] not in (3, 4):
                    self.found.append((name, kind, path, our, their))
                continue
            self.counts[kind][2] += 'code' not in their
            if 'code' in their:
                known = any(word in their['says'] for word in INTENDED[kind])
            else:
                known = all(their.get(key) == value for key, value in our.items()) if kind != 'torch' else \
                    all(value in their['tensors'].values() for value in our['tensors'].values())
            if not known:
                self.found.append((name, kind, path, our, their))

    def keep(self):
        """The files at which they differ, beside the found ones of the fuzz targets."""
        folder = pathlib.Path(READ_FILES).parent / 'tests' / 'fuzz' / 'found'
        folder.mkdir(parents=True, exist_ok=True)
        for i, (name, kind, path, *_) in enumerate(self.found):
            (folder / f'differential-{kind}-{name}-{i}').write_bytes(pathlib.Path(path).read_bytes())

    def test_what_ours_take_theirs_take(self):
        self.found, began, round_ = [], time.monotonic(), 0
        sound = [f'{seed.name.split("-")[0]} {seed}' for seed in self.seeds]
        self.compare(sound, 'seed')
        self.assertEqual(self.counts['torch'][2] + self.counts['safetensors'][2], 7, 'the seeds are read by both')
        while round_ == 0 or time.monotonic() - began < SECONDS:
            dice, lines = random.Random(f'{SEED} {round_}'), []
            for kind in INTENDED:
                seeds = [seed for seed in self.seeds if seed.name.startswith(kind)]
                for i in range(FILES):
                    lines.append(self.made(dice.choice(seeds), dice, self.folder / f'changed-{kind}-{i}'))
            self.compare(lines, f'{SEED}-{round_}')
            self.keep()
            if len(self.found) > 10 and 'KAPPASCOPE_KEEP_GOING' not in os.environ:
                break
            round_ += 1
        for kind, (files, theirs, both) in self.counts.items():
            print(f'{kind}: {files} files, {theirs} taken by the peer, {both} by both')
        self.assertEqual([], self.found)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
