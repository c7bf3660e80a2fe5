"""Corpora of the shipped texts, and `stats` over them."""
import json
import random

from harness import MODEL, TEXTS


class CorpusMaker:
    def documents(self, count, seed=1, longest=700):
        """Pieces of the shipped texts."""
        text = (TEXTS / 'prose.txt').read_text() + (TEXTS / 'code.txt').read_text()
        draw = random.Random(seed)
        places = [draw.randrange(len(text) - longest) for _ in range(count)]
        return [text[at:at + draw.randrange(20, longest)] for at in places]

    def corpus(self, documents, name='corpus.jsonl'):
        file = self.folder / name
        file.write_text(''.join(json.dumps({'text': text, 'kind': f'kind{i % 3}'}) + '\n'
                                for i, text in enumerate(documents)))
        return file

    def stats(self, corpus, name, *words, code=0):
        out = self.folder / name
        said = self.run_program('stats', MODEL, '--corpus', corpus, '-o', out, '--threads', 1, *words, code=code)
        return out, said
