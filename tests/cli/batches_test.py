"""Several texts in one run: which text each result is of."""
import hashlib
import json

import numpy as np

from harness import MODEL, TEXTS, Case, main


def meta_of(folder):
    return json.loads(str(np.load(folder / 'trace.npz')['kappascope_meta']))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class DocumentTest(Case):
    """Trace and summary name the text that they are of."""

    def test_each_kind_of_text(self):
        ids = self.folder / 'ids'
        ids.write_text('5\n 7\n\n9\n')
        prose = TEXTS / 'prose.txt'
        for words, source, data in (
                (('-p', 'The tide'), 'prompt', b'The tide'),
                (('-f', '-'), 'standard input', b'The sea\n'),
                (('-f', prose, '--max-tokens', '9'), str(prose), prose.read_bytes()),
                (('--ids', ids), str(ids), b'5 7 9')):
            with self.subTest(words=words):
                out = self.folder / 'out'
                self.run_program('run', MODEL, *words, '-o', out, '--figures', 'none', input=data)
                expected = {'source': source, 'index': 0, 'sha256': sha256(data)}
                self.assertEqual(meta_of(out)['document'], expected)
                self.assertEqual(json.loads((out / 'summary.json').read_text())['document'], expected)


if __name__ == '__main__':
    main()
