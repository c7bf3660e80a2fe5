"""What set-up chooses on machines with and without a GPU: cmake/setup.sh itself, with stand-ins for
nvidia-smi, nvcc, Torch and the packages, so that nothing is fetched."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER = 'build/deps/cuda/lib/python3.11/site-packages/nvidia/cu13'


class SetupTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='kappascope set up-'))
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(ROOT / 'cmake', self.folder / 'cmake')
        self.tools = self.folder / 'tools'
        self.tools.mkdir()
        torch = self.folder / 'torch'
        (torch / 'lib').mkdir(parents=True)
        (torch / 'version.py').write_text("__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\n")
        for name in ('libc10.so', 'libtorch_cpu.so', 'libtorch_cuda.so'):  # found and complete for ldd
            shutil.copy(pathlib.Path('/bin/true').resolve(), torch / 'lib' / name)
        self.torch = torch
        # The packages of the compiler, as if they had been fetched before.
        for name in ('bin', 'lib'):
            (self.folder / COMPILER / name).mkdir(parents=True)
        environment = self.folder / 'build/deps/cuda'
        requirements = (ROOT / 'cmake/requirements-cuda-compiler.txt').read_bytes()
        (environment / 'complete').write_text(hashlib.sha256(requirements).hexdigest() + '  -\n')
        (environment / 'bin').mkdir()
        (environment / 'bin/python').symlink_to('/bin/true')

    def tool(self, name, output):
        path = self.tools / name
        path.write_text(f"#!/bin/sh\necho '{output}'\n")
        path.chmod(0o755)
        return path

    def set_up(self, **environment):
        """What set-up says, and the compiler that it recorded."""
        done = subprocess.run(
            ['bash', 'cmake/setup.sh', 'gpu'], cwd=self.folder, text=True, capture_output=True,
            env={'PATH': f'{self.tools}:/usr/bin:/bin:/sbin', 'KAPPASCOPE_TORCH_ROOT': str(self.torch),
                 'KAPPASCOPE_GUI': 'OFF', 'HOME': str(self.folder), **environment})
        self.assertEqual(done.returncode, 0, done.stderr)
        recorded = self.folder / 'build/deps/nvcc'
        return done.stderr, recorded.read_text().strip() if recorded.exists() else ''

    def gpu(self):
        self.tool('nvidia-smi', 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)')

    def test_without_a_gpu_nothing_is_chosen(self):
        self.tool('nvcc', 'Cuda compilation tools, release 13.0, V13.0.88')
        self.tool('nvidia-smi', 'NVIDIA-SMI has failed')
        self.assertEqual(self.set_up()[1], '')

    def test_a_toolkit_of_torchs_major_version_is_taken(self):
        self.gpu()
        nvcc = self.tool('nvcc', 'Cuda compilation tools, release 13.1, V13.1.80')
        self.assertEqual(self.set_up()[1], str(nvcc))
        self.assertEqual(self.set_up(KAPPASCOPE_CUDA='OFF')[1], '')

    def test_an_older_toolkit_is_passed_over(self):
        self.gpu()
        self.tool('nvcc', 'Cuda compilation tools, release 12.8, V12.8.93')
        if pathlib.Path('/usr/local/cuda/bin/nvcc').exists():
            self.assertIn('/usr/local/cuda', self.set_up()[1])
        else:
            self.assertEqual(self.set_up()[1], str(self.folder / COMPILER / 'bin/nvcc'))
            self.assertTrue((self.folder / COMPILER / 'lib64').exists())

    def test_a_new_compiler_is_seen_by_builds_of_before(self):
        cache = self.folder / 'build/release/CMakeCache.txt'
        cache.parent.mkdir(parents=True)
        cache.write_text('CMAKE_CUDA_COMPILER:FILEPATH=NOTFOUND\n')
        self.set_up()
        self.assertTrue(cache.exists())
        self.gpu()
        self.tool('nvcc', 'Cuda compilation tools, release 13.0, V13.0.88')
        self.set_up()
        self.assertFalse(cache.exists())

    def test_a_torch_without_cuda_is_said(self):
        self.gpu()
        (self.torch / 'version.py').write_text("__version__ = '2.11.0+cpu'\ncuda: Optional[str] = None\n")
        (self.torch / 'lib/libtorch_cuda.so').unlink()
        said, nvcc = self.set_up()
        self.assertIn('built without CUDA', said)
        self.assertEqual(nvcc, '')


if __name__ == '__main__':
    unittest.main()
