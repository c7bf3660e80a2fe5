"""Runs beside each other in the program's window, by keys alone, and what each further start has of them.

Called with the build folder on a display of its own (with_display.py)."""
import json

from window_case import WindowCase  # finds harness, too
import harness
from harness import SOURCE

MODEL = SOURCE / 'assets' / 'd4-kappa'


class Lanes(WindowCase):
    def session(self):
        return json.loads(self.last_session.read_text())

    def test_an_edited_run_beside_the_unedited_one_is_there_again(self):
        process = self.open(MODEL, '-p', 'Once upon a time')
        self.palette(process, 'kappa switch')
        self.palette(process, 'Run the text')
        self.palette(process, 'Show the unedited run beside')
        self.end_by_signal(process)
        first = self.session()
        self.assertEqual([trace['compared'] for trace in first['traces']], [True, False])
        self.assertEqual([trace['run']['interventions'] for trace in first['traces']], [[], ['kappa=off']])
        self.assertEqual(first['view']['trace'], 1)
        for _ in range(2):
            process = self.open()
            self.palette(process, 'Restore last session')
            self.end_by_signal(process)
            again = self.session()
            for part in ('models', 'traces', 'next_run', 'view'):
                self.assertEqual(again[part], first[part], part)

    def test_the_folder_of_a_run_against_another_one_opens_both(self):
        run = self.folder / 'run'
        self.run_program('run', MODEL, '-p', 'Once upon a time', '--kappa-mul', '2', '--against', 'off', '-o', run,
                         '-q', '--figures', 'none')
        self.end_by_signal(self.open(run))
        first = self.session()
        self.assertEqual([trace['compared'] for trace in first['traces']], [False, True])
        self.assertEqual(first['view']['trace'], 0)
        self.end_by_signal(self.open(self.last_session))
        self.assertEqual(self.session()['traces'], first['traces'])

    def test_what_cannot_be_restored_leaves_the_rest(self):
        process = self.open(MODEL, '-p', 'Once upon a time')
        self.end_by_signal(process)
        session = self.session()
        gone = {'path': 'nowhere/trace.npz', 'compared': True}
        session['traces'] = [gone, *session['traces'], dict(session['traces'][0], compared=True)]
        session['traces'][2]['run'] = dict(session['traces'][2]['run'], interventions=['kappa-mul=2', 'nonsense'])
        file = self.last_session.parent / 'study.json'
        file.write_text(json.dumps(session))
        self.end_by_signal(self.open(file))
        traces = self.session()['traces']
        self.assertEqual([trace['run']['interventions'] for trace in traces], [[]])


if __name__ == '__main__':
    harness.main()
