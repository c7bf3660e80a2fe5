"""nvcc of another major version than Torch's CUDA is refused when configuring: it would build what does not open.
So is one that does not work with the C++ compiler. (That one of the same version is taken shows in every build.)

versions_test.py NVCC CMAKE
"""
import os, pathlib, re, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def configure(nvcc, cmake, folder, torch_cuda, **environment):
    """The exit code, and what was said with its lines joined."""
    torch = folder / f'torch-{torch_cuda}'
    (torch / 'lib').mkdir(parents=True, exist_ok=True)
    (torch / 'version.py').write_text(f"__version__ = '2.11.0'\ncuda: Optional[str] = '{torch_cuda}'\n")
    for name in ('libc10.so', 'libc10_cuda.so', 'libtorch_cpu.so', 'libtorch_cuda.so'):
        (torch / 'lib' / name).touch()
    header = folder / 'include/nlohmann/json.hpp'
    header.parent.mkdir(parents=True, exist_ok=True)
    header.touch()
    command = [cmake, '-S', ROOT / 'tests/gpu/machine', '-B', folder / f'build-{torch_cuda}',
               f'-DKAPPASCOPE_TORCH_ROOT={torch}', f'-DKAPPASCOPE_JSON_INCLUDE={folder / "include"}']
    done = subprocess.run(command, env={**os.environ, 'CUDACXX': nvcc, **environment}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, ' '.join(done.stdout.split())


def main():
    nvcc, cmake = sys.argv[1:]
    said = subprocess.run([nvcc, '--version'], stdout=subprocess.PIPE, text=True, check=True).stdout
    major = int(re.search(r'release (\d+)\.', said)[1])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        refused = {f'this Torch was built with CUDA {major - 1}': configure(nvcc, cmake, folder, f'{major - 1}.8'),
                   'no CUDA compiler was found': configure('/nonexistent/nvcc', cmake, folder, f'{major}.0'),
                   'nvcc does not work with the C++ compiler': configure(nvcc, cmake, folder, f'{major}.1',
                                                                         CUDAHOSTCXX='/bin/false')}
    faults = [f'not refused by "{why}": {said}' for why, (code, said) in refused.items() if code == 0 or why not in said]
    for fault in faults:
        print('FAILED', fault)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
