"""What the process maps, reads and holds: asserted through its own map and counters, not by a clock."""
import fcntl
import json
import os

from harness import MODEL, SOURCE, Case, main

DEMO = SOURCE / 'tests/figures/demo'


class FrozenProcess:
    """A run that hangs in its first write to standard output, a pipe that is full: its map and counters
    can be read at the end of its work."""

    def __init__(self, case, *words):
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b'x')
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        self.process = case.start(*words, stdout=writer)
        os.close(writer)
        case.wait_for(self.is_in_write)

    def is_in_write(self):
        assert self.process.poll() is None, self.process.stderr.read()
        with open(f'/proc/{self.process.pid}/syscall') as file:
            fields = file.read().split()
        return fields[:2] == [str(os_write_number()), '0x1']

    def maps(self):
        with open(f'/proc/{self.process.pid}/maps') as file:
            return file.read()

    def bytes_read(self):
        with open(f'/proc/{self.process.pid}/io') as file:
            counters = dict(line.split(': ') for line in file)
        return int(counters['rchar'])

    def mapped_bytes_touched(self, name):
        """Resident bytes of mappings of the file: what was read without a read call."""
        resident, inside = 0, False
        with open(f'/proc/{self.process.pid}/smaps') as file:
            for line in file:
                if '-' in line.split(' ', 1)[0]:
                    inside = line.rstrip().endswith(name)
                elif inside and line.startswith('Rss:'):
                    resident += int(line.split()[1]) * 1024
        return resident

    def end(self):
        self.process.kill()
        self.process.communicate()
        os.close(self.reader)


def os_write_number():
    return {'x86_64': 1, 'aarch64': 64}[os.uname().machine]


class MapTest(Case):
    def mapped(self, *words):
        frozen = FrozenProcess(self, *words)
        maps = frozen.maps()
        frozen.end()
        return [name for name in ('libtorch', 'libc10', 'kappascope_engine', 'libcuda') if name in maps]

    def test_no_torch(self):
        for words in (['--version'], ['--help'], ['info', MODEL], ['info', MODEL, '--json'], ['run', '--help'],
                      ['tokens', MODEL, '-p', 'The tide'], ['tokens', MODEL, '-p', 'The tide', '--json'],
                      ['plot', DEMO, '-o', self.folder / 'figures'], ['metrics'], ['metrics', 'nll']):
            with self.subTest(words=words):
                self.assertEqual(self.mapped(*words), [])

    def test_the_map_shows_torch_where_it_is(self):
        self.assertIn('libtorch', self.mapped('run', MODEL, '-p', 'The tide'))


class HeadersTest(Case):
    def test_sixty_gigabytes(self):
        folder = self.make_model('huge', '--sparse', '--hidden', 2048, '--layers', 24, '--experts', 19, '--slots',
                                 4, '--heads', 16, '--vocab', 50304, '--sequence', 4096)
        weights = next(folder.glob('*.pt'))
        self.assertGreater(weights.stat().st_size, 60 << 30)
        frozen = FrozenProcess(self, 'info', folder, '--json')
        read, touched = frozen.bytes_read(), frozen.mapped_bytes_touched(weights.name)
        frozen.end()
        print(f'info of {weights.stat().st_size} bytes: {read} read, {touched} touched in its map')
        self.assertLess(read, 2 << 20)  # programs and libraries are in it
        self.assertEqual(touched, 0)


class MemoryTest(Case):
    def peak(self, folder, ids):
        process = self.start('run', folder, '--ids', ids, '-o', self.folder / 'out')
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return usage.ru_maxrss * 1024

    def test_two_sizes(self):
        ids = self.folder / 'ids'
        ids.write_text('\n'.join(str(i * 7 % 256) for i in range(64)))
        for hidden, dtype in ((256, 'float32'), (512, 'bfloat16')):
            with self.subTest(hidden=hidden, dtype=dtype):
                folder = self.make_model(f'model-{hidden}', '--hidden', hidden, '--layers', 4, '--experts', 8,
                                         '--dtype', dtype)
                parameters = json.loads(self.run_program('info', folder, '--json')[0])['parameters']['total']
                peak, weights = self.peak(folder, ids), 4 * parameters
                print(f'{dtype}: {weights / 1e6:.0f} MB of weights as float32, peak {peak / 1e6:.0f} MB')
                self.assertLessEqual(peak, 1.2 * weights + 250e6)


if __name__ == '__main__':
    main()
