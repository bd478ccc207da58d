"""Hundreds of bad files: one clear line, the right exit code, soon, in little memory, no litter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from corpus import COMMANDS, EITHER

SCRIPT = Path(__file__).with_name("corpus.py")
SECONDS, MEGABYTES = 5, 1024


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder that holds the corpus, with nothing else beside it."""
    folder = tmp_path_factory.mktemp("corpus") / "files"
    folder.mkdir()
    step("make", folder)
    return folder


@pytest.fixture(scope="module")
def ran(place):
    """Every case, run one after the other in one process."""
    return [json.loads(line) for line in step("run", place).splitlines()]


def step(name, folder):
    command = [sys.executable, str(SCRIPT), name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def lines_of(stderr):
    """The lines of a refusal: all of them, but for the usage that Click puts before its own."""
    return [line for line in stderr.splitlines() if line.startswith("Error: ")]


def is_expected(case, code):
    return code in (0, 4) if case["code"] == EITHER else code == case["code"]


def test_the_corpus_is_large_and_holds_good_files_too(ran):
    assert len(ran) >= 200
    codes = [case["code"] for case in ran]
    assert all(codes.count(code) >= 20 for code in (0, 2, 4, 6))
    assert len({case["name"] for case in ran}) == len(ran)


def test_every_case_ends_with_its_exit_code(ran):
    wrong = {
        case["name"]: (case["found"]["code"], case["found"]["stderr"][-300:])
        for case in ran
        if not is_expected(case, case["found"]["code"])
    }
    assert not wrong


def test_nothing_but_our_own_errors_is_raised(ran):
    assert not {case["name"]: case["found"]["crash"] for case in ran if case["found"]["crash"]}


def test_a_refusal_is_one_line_that_names_what_is_wrong(ran):
    unclear = {}
    for case in ran:
        stderr = case["found"]["stderr"]
        if case["found"]["code"]:
            line, *more = lines_of(stderr) or [""]
            clear = case["says"] in line and 30 < len(line) < 1200
            if more or not clear or "Traceback" in stderr:
                unclear[case["name"]] = stderr[-600:]
    assert not unclear


def test_a_refusal_leaves_nothing_and_a_result_is_valid(ran):
    left = {
        case["name"]: case["found"]["made"]
        for case in ran
        if case["found"]["code"] and case["found"]["made"]
    }
    assert not left
    bad = {case["name"]: case["found"]["bad_result"] for case in ran if case["found"]["bad_result"]}
    assert not bad
    written = ("predict", "extract", "outline", "divide")
    taken = [c for c in ran if c["found"]["code"] == 0 and c["command"][0] in written]
    assert all(case["found"]["made"] for case in taken)


def test_every_case_is_quick_and_takes_little_memory(ran):
    slow = {c["name"]: c["found"]["seconds"] for c in ran if c["found"]["seconds"] > SECONDS}
    assert not slow
    # Over what the process had after a good scene.
    assert ran[-1]["found"]["peak_mb"] - ran[0]["start_mb"] < MEGABYTES


def test_no_file_was_run_as_a_program(ran, place):
    # Pickles and pixel functions of the corpus make these where anything loads them.
    assert ran
    assert not list(place.parent.rglob("canary"))
    assert not list(place.parent.parent.glob("evil*"))


def test_the_command_itself_refuses_as_well(place, ran):
    before = set(place.parent.rglob("*"))
    found = [json.loads(line) for line in step("commands", place).splitlines()]
    assert len(found) == COMMANDS
    for case in found:
        name, stderr = case["name"], case["stderr"]
        assert case["found"] == case["code"], (name, stderr)
        assert len(lines_of(stderr)) == 1, (name, stderr)
        assert "Traceback" not in stderr
        # Of the processor, with what Python and PyTorch take to start.
        assert case["seconds"] < 3 * SECONDS, name
        assert case["peak_mb"] < MEGABYTES, name
    assert set(place.parent.rglob("*")) == before
