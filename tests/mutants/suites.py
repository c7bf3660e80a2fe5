"""The tests of a build folder as ctest lists them, and one run of one of them."""

import dataclasses
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

MEMORY = 8 << 30  # bytes that a faulty program may fill before it counts as seen


@dataclasses.dataclass
class Test:
    name: str
    command: list
    properties: dict
    before: list  # commands of the fixtures that it needs


def of_build(folder):
    """{name: Test}; those of suites of GoogleTest with their program, as `program:suite`."""
    listed = json.loads(subprocess.run(["ctest", "--test-dir", folder, "--show-only=json-v1"],
                                       check=True, capture_output=True).stdout)["tests"]
    tests, makers = {}, {}
    for test in listed:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        command = test.get("command", [])
        if not command or not pathlib.Path(command[0]).exists():
            continue  # of a program that is not built
        for fixture in properties.get("FIXTURES_SETUP", []):
            makers[fixture] = command
        name = test["name"]
        if len(command) > 1 and command[1].startswith("--gtest_filter="):
            name = pathlib.Path(command[0]).name + ":" + name
            command = [*command, "--gtest_fail_fast"]
        tests[name] = Test(name, command, properties, [])
    for test in tests.values():
        test.before = [makers[f] for f in test.properties.get("FIXTURES_REQUIRED", [])]
    return tests


def limits(sanitized):
    """What keeps a faulty program from taking the machine with it, set in the child."""
    def set_limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not sanitized:  # the shadow of ASan is terabytes that are never filled
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    return set_limits


def surroundings(test, scratch, extra):
    """The variables of the environment of a test."""
    variables = dict(os.environ, TMPDIR=str(scratch), OMP_WAIT_POLICY="passive",
                     ASAN_OPTIONS=f"hard_rss_limit_mb={MEMORY >> 20}")
    variables.update(item.split("=", 1) for item in test.properties.get("ENVIRONMENT", []))
    variables.update(extra)
    return variables


def run_command(command, test, seconds, variables, log):
    """The exit status; None after `seconds`. Nothing that it started is left."""
    sanitized = "asan" in pathlib.Path(command[0]).parts
    with open(log, "ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   cwd=test.properties.get("WORKING_DIRECTORY"), env=variables,
                                   start_new_session=True, preexec_fn=limits(sanitized))
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def matches(test, name, text):
    return any(re.search(pattern, text) for pattern in test.properties.get(name, []))


def verdict(test, status, log):
    """"passed", "failed", "late" or "skipped", as ctest would say."""
    if status is None:
        return "late"
    text = pathlib.Path(log).read_text(errors="replace")
    if status == test.properties.get("SKIP_RETURN_CODE"):
        return "skipped"
    # After the first failure of a suite the rest of it is skipped, too.
    if status == 0 and matches(test, "SKIP_REGULAR_EXPRESSION", text) and "[       OK ]" not in text:
        return "skipped"
    if "PASS_REGULAR_EXPRESSION" in test.properties:
        return "passed" if matches(test, "PASS_REGULAR_EXPRESSION", text) else "failed"
    return "passed" if status == 0 else "failed"


def run(test, scratch, extra, seconds):
    """(verdict, seconds that it took) of one run with these further variables."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / "output.txt"
    log.unlink(missing_ok=True)
    variables = surroundings(test, scratch, extra)
    began = time.monotonic()
    status = 0
    for command in (*test.before, test.command):
        status = run_command(command, test, seconds, variables, log)
        if status != 0 and command is not test.command:
            return "failed", time.monotonic() - began  # the fixture's
    return verdict(test, status, log), time.monotonic() - began
