"""Four verbs on small inputs, for tests that let one thing fail at each moment of a run."""
from harness import SOURCE
from train_case import TEXT, TINY, TOKENIZER

MODEL = SOURCE / 'assets' / 'd4-kappa'


class SmallVerbs:
    """Beside a Case with check(*words), which runs these words with an output of its own."""
    formats = 'svg,csv'

    def test_run(self):
        self.check('run', MODEL, '-p', 'The tide came in', '--figures', 'expert-load', '--threads', 1)

    def test_plot(self):
        trace = self.folder / 'trace'
        self.run_program('run', MODEL, '-p', 'The tide came in', '--figures', 'none', '-o', trace)
        self.check('plot', trace / 'trace.npz', '--figures', 'expert-load,kappa-depth', '--figure-format', self.formats)

    def test_stats(self):
        corpus = self.folder / 'corpus.txt'
        corpus.write_text('The tide came in and the tide went out.')
        self.check('stats', MODEL, '--corpus', corpus, '--threads', 1)

    def test_train(self):
        self.check('train', '--text', TEXT, '--tokenizer', TOKENIZER, *TINY, '--tokens', 256, '-q')
