"""nvcc of another major version than Torch's CUDA is refused when configuring: it would build what does not open.

versions_test.py NVCC CMAKE
"""
import os, pathlib, re, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def configure(nvcc, cmake, folder, torch_cuda):
    torch = folder / f'torch-{torch_cuda}'
    (torch / 'lib').mkdir(parents=True)
    (torch / 'version.py').write_text(f"__version__ = '2.11.0'\ncuda: Optional[str] = '{torch_cuda}'\n")
    for name in ('libc10.so', 'libc10_cuda.so', 'libtorch_cpu.so', 'libtorch_cuda.so'):
        (torch / 'lib' / name).touch()
    header = folder / 'include/nlohmann/json.hpp'
    header.parent.mkdir(parents=True, exist_ok=True)
    header.touch()
    command = [cmake, '-S', ROOT / 'tests/gpu/machine', '-B', folder / f'build-{torch_cuda}',
               f'-DKAPPASCOPE_TORCH_ROOT={torch}', f'-DKAPPASCOPE_JSON_INCLUDE={folder / "include"}']
    return subprocess.run(command, env={**os.environ, 'CUDACXX': nvcc}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def main():
    nvcc, cmake = sys.argv[1:]
    said = subprocess.run([nvcc, '--version'], stdout=subprocess.PIPE, text=True, check=True).stdout
    major = int(re.search(r'release (\d+)\.', said)[1])
    with tempfile.TemporaryDirectory() as folder:
        same = configure(nvcc, cmake, pathlib.Path(folder), f'{major}.0')
        other = configure(nvcc, cmake, pathlib.Path(folder), f'{major - 1}.8')
    faults = []
    if same.returncode:
        faults.append(f'the same major version is refused:\n{same.stdout}')
    refusal = f'this Torch was built with CUDA {major - 1}'
    if other.returncode == 0 or refusal not in ' '.join(other.stdout.split()):
        faults.append(f'another major version is not refused by "{refusal}":\n{other.stdout}')
    for fault in faults:
        print('FAILED', fault)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
