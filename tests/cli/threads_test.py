"""How many threads a run takes when none are asked for, and how they wait."""
import json
import os

import numpy as np

from harness import MODEL, Case, main


class ThreadsTest(Case):
    def threads(self, *words, cores=None, **environment):
        """Threads that the trace records."""
        out = self.folder / 'out'
        self.run_program('run', MODEL, '-p', 'The tide', '-q', '--figures', 'none', '-o', out, *words,
                         env={**os.environ, **environment},
                         preexec_fn=lambda: cores and os.sched_setaffinity(0, cores))
        return json.loads(str(np.load(out / 'trace.npz')['kappascope_meta']))['threads']

    def test_as_many_as_the_process_may_use(self):
        mine = os.sched_getaffinity(0)
        self.assertEqual(self.threads(cores={min(mine)}), 1)
        self.assertEqual(self.threads(OMP_NUM_THREADS='1'), 1)
        self.assertEqual(self.threads(OMP_NUM_THREADS='1,4'), 1)
        self.assertEqual(self.threads(OMP_THREAD_LIMIT='1'), 1)
        self.assertLessEqual(self.threads(), len(mine))
        self.assertLessEqual(self.threads(OMP_NUM_THREADS=str(len(mine) + 7)), len(mine))
        self.assertEqual(self.threads(OMP_NUM_THREADS='many'), self.threads())

    def test_a_given_number_is_taken(self):
        self.assertEqual(self.threads('--threads', 3, cores={min(os.sched_getaffinity(0))}), 3)

    def waiting(self, **environment):
        """How OpenMP says that its threads wait."""
        clean = {name: value for name, value in os.environ.items()
                 if name not in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')}
        _, err = self.run_program('run', MODEL, '-p', 'a', '-q', '--figures', 'none', '-o', self.folder / 'out',
                                  env={**clean, 'OMP_DISPLAY_ENV': 'verbose', **environment})
        return [line.split('=')[1].strip(" '") for line in err.splitlines()
                if 'OMP_WAIT_POLICY' in line or 'GOMP_SPINCOUNT' in line]

    def test_threads_wait_asleep_unless_the_user_says_otherwise(self):
        self.assertEqual(self.waiting(), ['PASSIVE', '0'])
        self.assertEqual(self.waiting(OMP_WAIT_POLICY='active')[0], 'ACTIVE')
        self.assertEqual(self.waiting(GOMP_SPINCOUNT='1234')[1], '1234')


if __name__ == '__main__':
    main()
