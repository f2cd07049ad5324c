"""Claims about the fork server alone: when it refuses, and that it ends with whoever started it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import cobench
from cobench.run.kernels import kernel_environment
from cobench.run.warm import can_fork, fork_server

pytestmark = pytest.mark.skipif(not can_fork(), reason="kernels are forked on Linux only")
SLEEPER = ["-m", "ipykernel_launcher", "-f", "nowhere.json"]
DRIVER = """
import os, sys, time
from pathlib import Path
from cobench.run.kernels import kernel_environment
from cobench.run.warm import fork_server
work = Path(sys.argv[1])
with fork_server(work, kernel_environment(work)) as found:
    (work / "address.tmp").write_text(next(iter(found.values())))
    os.replace(work / "address.tmp", work / "address")
    time.sleep(120)
"""
ALONE = """
import threading, time
from cobench.run import fork_server as server
ask = {"argv": ["-m", "ipykernel_launcher", "-f", "x"], "env": {n: v for n, v in __import__("os").environ.items()}}
print(repr(server._refusal(dict(ask))))
threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
print(repr(server._refusal(dict(ask))))
print(repr(server._refusal({"argv": ["-c", "1"], "env": ask["env"]})))
print(repr(server._refusal(ask | {"env": ask["env"] | {"MPLBACKEND": "agg"}})))
"""


def _ask(address, **request):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(60)
    connection.connect(address)
    connection.sendall(json.dumps(request).encode() + b"\n")
    return connection, json.loads(connection.makefile().readline())


def _gone(pid, seconds=20):
    end = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _children(pid):
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_a_process_with_two_threads_another_launcher_or_environment_is_refused():
    told = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True).stdout
    alone, threaded, launcher, environment = told.splitlines()
    assert alone == "''"
    assert threaded == "'2 threads'"
    assert launcher == "'another launcher'"
    assert environment == "'other values of MPLBACKEND'"


def test_the_server_forks_while_it_has_one_thread(tmp_path):
    environment = kernel_environment(tmp_path)
    with fork_server(tmp_path, environment) as found:
        [address] = found.values()
        connection, told = _ask(address, argv=SLEEPER, cwd=str(tmp_path), env=os.environ | environment)
        assert set(told) == {"pid"}  # a second thread would have been refused
        server = psutil.Process(told["pid"]).parent()
        maps = " ".join(each.path for each in server.memory_maps())
        assert "pandas" in maps and "matplotlib" in maps
        connection.close()
        assert _gone(told["pid"])
    assert _gone(server.pid)


def test_a_server_whose_cobench_is_no_longer_what_lies_there_refuses(tmp_path):
    code = tmp_path / "cobench"
    shutil.copytree(Path(cobench.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
    environment = kernel_environment(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # modules are looked for there first
        with fork_server(tmp_path, environment) as found:
            [address] = found.values()
            request = {"argv": SLEEPER, "cwd": str(tmp_path), "env": os.environ | environment}
            first, told = _ask(address, **request)
            assert set(told) == {"pid"}
            (code / "show" / "wording.toml").write_text("# changed")
            second, told = _ask(address, **request)
            assert told == {"refused": "cobench changed"}
            first.close()
            second.close()


def test_closing_the_connection_kills_the_kernel_and_a_killed_kernel_is_told(tmp_path):
    environment = kernel_environment(tmp_path)
    with fork_server(tmp_path, environment) as found:
        [address] = found.values()
        request = {"argv": SLEEPER, "cwd": str(tmp_path), "env": os.environ | environment}
        first, told = _ask(address, **request)
        os.kill(told["pid"], signal.SIGKILL)
        assert json.loads(first.makefile().readline()) == {"exit": -signal.SIGKILL}
        second, told = _ask(address, **request)
        second.close()
        assert _gone(told["pid"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_and_its_kernels_end_with_a_driver_that_is_killed(tmp_path, number):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)])
    while not (tmp_path / "address").exists():
        time.sleep(0.05)
    environment = kernel_environment(tmp_path)
    connection, told = _ask(
        (tmp_path / "address").read_text(), argv=SLEEPER, cwd=str(tmp_path), env=os.environ | environment
    )
    family = _children(driver.pid)
    assert told["pid"] in family and len(family) == 2
    driver.send_signal(number)
    driver.wait(20)
    assert all(_gone(pid) for pid in family)
    connection.close()
