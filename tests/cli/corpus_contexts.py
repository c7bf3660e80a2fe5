"""The contexts of a corpus result, recomputed: places where an expert was chosen, drawn by a hash."""
import json

import numpy as np

from harness import MODEL

BEFORE, PLACES, TOKENS = 8, 4, 13  # of a context


def mixed(x):
    with np.errstate(over='ignore'):
        x = np.asarray(x, np.uint64) + np.uint64(0x9e3779b97f4a7c15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        return x ^ (x >> np.uint64(31))


def choice_hash(document, position, layer, expert):
    """Of places in the first pass: what the kept ones are the smallest of."""
    place = mixed(mixed(document) ^ np.asarray(position, np.uint64))
    return mixed(place ^ (np.uint64(layer) << np.uint64(40)) ^ np.asarray(expert, np.uint64))


def document_key(source):
    key = 0xcbf29ce484222325
    for byte in source.encode():
        key = (key ^ byte) * 0x100000001b3 % 2**64
    return key


class ContextChecks:
    def check_contexts(self, ours, traces):
        """Of all places where an expert was chosen the four of the smallest hashes, with their tokens."""
        keys = [document_key(f'{self.folder.resolve()}/corpus.jsonl:{i + 1}') for i in range(len(traces))]
        for row, layer in enumerate(ours['layer_index']):
            places = []
            for i, (key, trace) in enumerate(zip(keys, traces)):
                chosen = trace['expert_index'][row]
                at = np.repeat(np.arange(len(chosen)), chosen.shape[1])
                hashes = choice_hash(key, at, layer, chosen.ravel())
                places += zip(hashes.tolist(), chosen.ravel().tolist(), [i] * len(at), at.tolist())
            for expert in range(len(ours['assigned'][row])):
                wanted = sorted(place for place in places if place[1] == expert)[:PLACES]
                positions = ours['context_position'][row, expert]
                self.assertEqual(positions[positions >= 0].tolist(), [at for _, _, _, at in wanted])
                documents = ours['context_document'][row, expert].view(np.uint64)[:len(wanted)]
                self.assertEqual(documents.tolist(), [keys[i] for _, _, i, _ in wanted])
                for ids, (_, _, i, at) in zip(ours['context_token_id'][row, expert], wanted):
                    padded = np.full(TOKENS + len(traces[i]['token_id']) + TOKENS, -1)
                    padded[TOKENS:-TOKENS] = traces[i]['token_id']
                    begin = TOKENS + at - BEFORE
                    np.testing.assert_array_equal(ids, padded[begin:begin + TOKENS])

    def check_contexts_of_one(self, text, ours):
        """Pieces of one document: a chosen token is where its position says; no place is there twice."""
        out, _ = self.run_program('tokens', MODEL, '-p', text, '--json')
        ids = np.array(json.loads(out)['token_id'])
        positions = ours['context_position']
        chosen = ours['context_token_id'][..., BEFORE][positions >= 0]
        np.testing.assert_array_equal(chosen, ids[positions[positions >= 0]])
        for of_expert in positions.reshape(-1, PLACES):
            known = of_expert[of_expert >= 0]
            self.assertEqual(len(set(known)), len(known))

    def check_merged_contexts(self, ours, parts):
        names = ('context_document', 'context_position')
        for row, layer in enumerate(ours['layer_index']):
            for expert in range(ours['assigned'].shape[1]):
                places = []
                for part in parts:
                    document, position = (part[name][row, expert] for name in names)
                    hashes = choice_hash(document.view(np.uint64), position, layer, expert)
                    places += [place for place in zip(hashes.tolist(), document.tolist(), position.tolist())
                               if place[2] >= 0]
                merged = list(zip(*(ours[name][row, expert].tolist() for name in names)))
                self.assertEqual([place for place in merged if place[1] >= 0], [p[1:] for p in sorted(places)[:PLACES]])
