"""Doctor finds what is wrong with a machine, and says so in a line."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version

import pytest
import rasterio
from click.testing import CliRunner
from factories import run_command as run

import glacierx as gx
from glacierx import doctor
from glacierx.cli.main import group
from glacierx.errors import CheckError
from glacierx.findings import Finding, check_findings, findings_text
from glacierx.predict import model as models


def check(name):
    return doctor.CHECKS[name](name)


def test_a_good_machine_is_good_and_its_trial_finds_ice(tmp_path):
    path = tmp_path / "doctor.json"
    result = run("doctor", "--json", path)
    lines = result.stdout.splitlines()
    assert len(lines) == len(doctor.CHECKS)
    assert {line.split()[0] for line in lines} <= {"ok", "note"}
    assert f"numpy {version('numpy')}" in result.stdout
    assert rasterio.__gdal_version__ in result.stdout
    record = json.loads(path.read_text())
    assert record["ok"] is True
    assert [one["name"] for one in record["findings"]] == list(doctor.CHECKS)
    assert "exists already" in run("doctor", "--json", path, code=5)


def test_nothing_of_the_trial_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert check("trial run").state == "ok"
    assert check("temporary files").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_drivers_and_data_that_gdal_does_without_are_told(tmp_path):
    hidden = {"GDAL_SKIP": "GPKG", "PROJ_DATA": str(tmp_path), "PROJ_LIB": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "glacierx", "doctor", "--json", "-"],
        env={**os.environ, **hidden}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 8
    assert "Traceback" not in done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["GDAL"]["state"] == "problem"
    assert "GPKG" in found["GDAL"]["text"]
    assert "GDAL_SKIP=GPKG" in found["GDAL"]["advice"]
    assert found["PROJ"]["state"] == "problem"
    assert str(tmp_path) in found["PROJ"]["advice"]
    assert found["trial run"]["state"] == "problem"
    assert found["packages"]["state"] == "ok"


def test_an_old_a_missing_and_a_broken_package_are_told(monkeypatch):
    needed = ["numpy>=99.1", "click>=8.1", "no-such-thing>=2", "fiona>=1", "extra>=1; extra == 'x'"]
    monkeypatch.setattr(doctor, "requires", lambda name: needed)
    monkeypatch.setitem(sys.modules, "fiona", None)  # So Python says that it cannot be imported.
    found = check("packages")
    assert found.state == "problem"
    assert f"numpy is {version('numpy')}, and 99.1 or newer is needed" in found.text
    assert "no-such-thing is not installed" in found.text
    assert "fiona" in found.text
    assert "cannot be imported" in found.text
    assert "click" not in found.text
    assert "extra" not in found.text
    assert found.advice.startswith("pip install --upgrade 'numpy>=99.1' 'no-such-thing>=2'")


@pytest.mark.parametrize(
    ("own", "least", "enough"),
    [("2.13.0+cpu", "2.6", True), ("2.6", "2.6.0", True), ("1.10", "1.9", True),
     ("0.19.3", "0.24", False), ("1.25.9", "1.26", False), ("2.0rc1", "2", True)],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(monkeypatch, own, least, enough):
    monkeypatch.setattr(doctor, "version", lambda name: own)
    assert (doctor._fault_of("click", least) == "") is enough


def test_another_python_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 98), (3, 99)))
    found = check("Python")
    assert found.state == "problem"
    assert "3.98 to 3.99" in found.advice


def test_a_folder_that_takes_no_files_is_told(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(file))
    found = check("temporary files")
    assert found.state == "problem"
    assert str(file) in found.text
    assert "TMPDIR" in found.advice


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (doctor.PROBE_BYTES // 2, before[1]))
    try:
        found = check("temporary files")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.state == "problem"
    assert "File too large" in found.text


@pytest.mark.parametrize(("free_gb", "state"), [(0.05, "problem"), (1, "note"), (50, "ok")])
def test_little_disk_is_told(tmp_path, monkeypatch, free_gb, state):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)._replace(free=int(free_gb * 1e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert check("temporary files").state == state
    # Results may go to another folder than the current one.
    monkeypatch.chdir(tmp_path)
    assert check("this folder").state == ("ok" if state == "ok" else "note")


@pytest.mark.parametrize(
    ("available", "allowed", "state"),
    [(0.5, None, "problem"), (64, 0.5, "problem"), (2, None, "note"), (64, 32, "ok"),
     (None, None, "note")],
)  # fmt: skip
def test_little_memory_is_told(monkeypatch, available, allowed, state):
    for name, size in (("_available_bytes", available), ("_allowed_bytes", allowed)):
        monkeypatch.setattr(doctor, name, lambda size=size: size and int(size * 1e9))
    assert check("memory").state == state


def test_a_gpu_that_pytorch_does_not_see_is_told(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA Imaginary (UUID: GPU-1)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert "NVIDIA Imaginary" in doctor._unused_gpu("cpu")
    assert doctor._unused_gpu("cuda") == ""
    tool.write_text("#!/bin/sh\nexit 9\n")  # As without its driver.
    assert doctor._unused_gpu("cpu") == ""


def test_what_networks_run_on_is_told(monkeypatch):
    from glacierx.predict.backend import WORTH_PASSES, resolve
    from glacierx.predict.device import choose_device, device_name

    engine = resolve(gx.EngineOptions(), WORTH_PASSES)
    found = check("processor")
    where = device_name(choose_device(engine.device))
    assert f"{where} with {engine.backend} in {engine.precision}" in found.text


def test_broken_weights_are_told_twice(tmp_path, monkeypatch):
    whole = models.find_model("starter").read_bytes()
    (tmp_path / "starter.safetensors").write_bytes(whole[:-1000])
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    result = CliRunner().invoke(group, ["doctor"])
    assert result.exit_code == 8
    states = {line[9:24].strip(): line.split()[0] for line in result.stdout.splitlines()}
    assert states["models"] == states["trial run"] == "problem"
    assert states["GDAL"] == states["packages"] == "ok"
    assert "starter.safetensors" in result.stdout
    assert "models (problem), trial run (problem)" in result.stderr


def test_no_weights_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    assert check("models").state == "problem"
    found = check("trial run")
    assert found.state == "problem"
    assert "pixel method" in found.text


def test_wrong_arithmetic_is_told(tmp_path, monkeypatch):
    # Weights of the right shapes that mean nothing.
    from glacierx.predict.modelfile import build_model, load_card, save_network

    card = load_card(models.find_model("starter"))
    save_network(build_model(card), tmp_path / "starter.safetensors")
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    assert check("trial run").state == "problem"


def test_a_check_that_breaks_is_a_problem_and_the_others_go_on(monkeypatch):
    def broken(name):
        raise RuntimeError("it\nbroke")

    good = Finding("good", "ok", "all is well")
    monkeypatch.setattr(doctor, "CHECKS", {"bad": broken, "good": lambda name: good})
    bad, other = doctor.examine()
    assert (bad.name, bad.state) == ("bad", "problem")
    assert "RuntimeError: it broke" in bad.text
    assert other == good


def test_a_library_that_cannot_be_imported_is_a_line_and_no_traceback(tmp_path):
    # A package of that name that comes first stands for one whose libraries are missing.
    for name in ("torch", "rasterio"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('libgone.so.1')")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "glacierx", "doctor"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 8
    assert "Traceback" not in done.stderr
    states = {line[9:24].strip(): line.split()[0] for line in done.stdout.splitlines()}
    assert set(states) == set(doctor.CHECKS)
    bad = {"packages", "GDAL", "PROJ", "processor", "models", "trial run"}
    assert {name for name, state in states.items() if state == "problem"} == bad
    assert "libgone.so.1" in done.stdout


def test_findings_fail_by_their_state():
    good = [Finding("a", state, "") for state in ("ok", "note", "same", "unknown")]
    check_findings(good)
    for state in ("problem", "changed", "missing", "differs"):
        with pytest.raises(CheckError, match=rf"1 of 5 checks failed: b \({state}\)"):
            check_findings([*good, Finding("b", state, "")])
    text = findings_text(
        [Finding("long name", "ok", "one\n two"), Finding("b", "note", "x.", "y.")]
    )
    assert text.splitlines() == ["ok       long name  one two", "note     b          x. y."]
    assert not text.endswith("\n")
