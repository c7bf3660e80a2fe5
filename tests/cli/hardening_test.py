"""What the compiler and the linker were asked for is in the files that were built: the ways in which a fault in
reading a file would let somebody in are closed (docs/security.md)."""
import pathlib
import platform
import re
import subprocess
import unittest

from harness import BUILD, PROGRAM, main

LIBRARIES = sorted(BUILD.glob('libkappascope_*.so'))
LIBRARIES = [library for library in LIBRARIES if 'failing' not in library.name]
ENDBR64 = b'\xf3\x0f\x1e\xfa'  # where an indirect jump may land


def elf(path, *words):
    return subprocess.run(['readelf', '-W', *words, path], check=True, capture_output=True, text=True).stdout


class HardeningTest(unittest.TestCase):
    def files(self):
        for path in [pathlib.Path(PROGRAM), *LIBRARIES]:
            with self.subTest(file=path.name):
                yield path

    def test_addresses_are_drawn_anew(self):
        self.assertIn('DYN', re.search(r'Type: *(.*)', elf(PROGRAM, '-h')).group(1))
        self.assertRegex(elf(PROGRAM, '-d'), r'FLAGS_1.*\bPIE\b')
        for path in self.files():
            self.assertNotIn('TEXTREL', elf(path, '-d'))

    def test_nothing_is_writable_and_executable(self):
        for path in self.files():
            segments = elf(path, '-l')
            self.assertRegex(segments, r'GNU_STACK .* RW +0x')
            self.assertNotRegex(segments, r' (RWE|R?WE) +0x')

    def test_tables_of_functions_are_read_only(self):
        for path in self.files():
            self.assertIn('GNU_RELRO', elf(path, '-l'))
            self.assertRegex(elf(path, '-d'), r'FLAGS\b.*BIND_NOW')

    def test_stacks_and_copies_are_guarded(self):
        for path in self.files():
            self.assertIn('__stack_chk_fail', elf(path, '--dyn-syms'))
        self.assertRegex(elf(PROGRAM, '--dyn-syms'), r'__(mem|str|snprintf|vsnprintf|read|fread|pread)\w*_chk')

    @unittest.skipUnless(platform.machine() in ('x86_64', 'AMD64'), 'of x86-64')
    def test_jumps_have_places_to_land(self):
        for path in self.files():
            self.assertGreater(path.read_bytes().count(ENDBR64), 100)


if __name__ == '__main__':
    main()
