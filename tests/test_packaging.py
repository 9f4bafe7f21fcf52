"""What is declared agrees: requirements with the tested pins, markers with the tiers of tests/conftest.py."""

import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
REQUIREMENTS = [Requirement(line) for line in requires("megatron-ext")]


def folded(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    """Package to version, for this Python."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith("#")]
    chosen = [pin for pin in map(Requirement, lines) if not pin.marker or pin.marker.evaluate()]
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.url for pin in chosen)
    return {folded(pin.name): str(pin.specifier)[2:] for pin in chosen}


@pytest.mark.parametrize("file", ["constraints-cpu.txt", "constraints-gpu.txt"])
def test_pins_satisfy_the_requirements(file):
    pinned = pins(file)
    of_this_file = [r for r in REQUIREMENTS if ('"gpu"' in str(r.marker)) == (file == "constraints-gpu.txt")]
    assert of_this_file
    for requirement in of_this_file:
        assert requirement.specifier.contains(pinned[folded(requirement.name)]), requirement


def test_nothing_that_needs_a_gpu_is_required():
    core = {folded(r.name) for r in REQUIREMENTS if not r.marker}
    assert core.isdisjoint({"transformer-engine", "liger-kernel", "triton", "apex"})
    assert "apex" not in {folded(r.name) for r in REQUIREMENTS}  # PyPI's is somebody else's package


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], {"plain"}), (["--full"], {"plain", "full"}), (["--soak"], {"plain", "soak"}), (["-m", "full"], {"full"})],
)
def test_tiers(tmp_path, options, expected):
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  full\n  soak\n")
    tests = "import pytest\ndef test_plain(): pass\n"
    tests += "".join(f"@pytest.mark.{tier}\ndef test_{tier}(): pass\n" for tier in ("full", "soak"))
    (tmp_path / "test_tiers.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert set(re.findall(r"::test_(\w+) PASSED", ran.stdout)) == expected
