"""Memory that runs out in the middle of a verb: one allocation of the program fails, each in a run of its own.
A few of these moments in `make test`, every 23rd in `make soak` (KAPPASCOPE_SOAK)."""
import os
import shutil
import struct
import unittest

from harness import BUILD, STAGING, Case, files_under, main
from small_verbs import SmallVerbs

SHIM = BUILD / 'libkappascope_failing_new.so'
STEP = 23 if os.environ.get('KAPPASCOPE_SOAK') else None
MOMENTS = 6  # of each verb, in the short form
SAID = 'kappascope: out of memory; '


@unittest.skipUnless(SHIM.exists(), 'the shim is not built')
class EveryAllocationTest(SmallVerbs, Case):
    formats = 'svg,csv,pdf'

    def failing(self, at):
        (self.folder / 'count').write_bytes(bytes(8))
        return os.environ | {'LD_PRELOAD': str(SHIM), 'KAPPASCOPE_FAIL_IN': 'libkappascope_engine.so',
                             'KAPPASCOPE_FAIL_AT': str(at), 'KAPPASCOPE_FAIL_COUNT': str(self.folder / 'count')}

    def contents(self):
        """Those with a name; what ends where nothing may be thrown leaves the rest to the next run."""
        return {name: (self.out / name).read_bytes() for name in files_under(self.out)
                if not name.startswith(STAGING)} if self.out.exists() else {}

    def check(self, *words):
        """Each moment: code 6 and its line, or the allocation could be done without; what has its name is whole."""
        self.out = self.folder / 'out'
        self.run_program(*words, '-o', self.out, env=self.failing(0))
        whole = self.contents()
        count = struct.unpack('q', (self.folder / 'count').read_bytes())[0]
        self.assertGreater(count, 100)
        step = STEP or count // MOMENTS
        for at in range(1 + step // 3, count + 1, step):
            with self.subTest(verb=words[0], allocation=at, of=count):
                self.check_moment(words, at, whole)
        print(f'{words[0]}: {count} allocations, every {step}.')

    def check_moment(self, words, at, whole):
        shutil.rmtree(self.out, ignore_errors=True)
        process = self.start(*words, '-o', self.out, env=self.failing(at))
        err = process.communicate(timeout=120)[1].decode()
        found = self.contents()
        if process.returncode == 0:
            self.assertEqual(found, whole)
            return
        self.assertEqual(process.returncode, 6, err)
        lines = [line for line in err.splitlines() if line.startswith('kappascope: ') and 'warning: ' not in line]
        self.assertEqual(len(lines), 1, err)
        self.assertTrue(lines[0].startswith(SAID), err)
        if found.pop('stats.state', None) is not None:  # how far it was
            self.run_program(*words, '-o', self.out, '--resume')
            self.assertEqual(self.contents(), whole)
            return
        for name, content in found.items():
            if name.endswith('.jsonl'):
                self.assertTrue(whole[name].startswith(content), name)
            elif name in whole or not name.startswith('optim_'):  # moments of a step that another follows
                self.assertEqual(content, whole.get(name), name)


if __name__ == '__main__':
    main()
