"""A SLURM cluster of two nodes on this machine, for the test session: munged, slurmctld and two slurmd in a folder of their own.

The daemons run in the foreground as children of the tests; what they started is found by pid before they are ended, so that
nothing outlives the session, whatever failed. Nothing outside the folder is read or written but slurm's programs.
"""

from __future__ import annotations

import getpass
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import time

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
PATH = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
NODES = ("n1", "n2")

# No cgroups, no systemd. Credentials that expire soon let a requeued job start after seconds: the default is two minutes.
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
MinJobAge=300
MaxArraySize=3
KillWait=30
ReturnToService=2
{nodes}
PartitionName=tests Nodes={names} Default=YES MaxTime=10 OverSubscribe=FORCE State=UP
"""


def missing() -> str | None:
    """Why there can be no cluster here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"SLURM is not installed (no {', '.join(absent)}): apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "SLURM's daemons start jobs as root only"


class Cluster:
    """Args: folder: an empty one, under no folder that others can write to without the sticky bit (munge looks)."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.daemons = folder, {}
        self.environ = os.environ | {"PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        self.folder.chmod(0o755)  # munged wants its socket where everybody can reach it
        self._write_configuration()
        self._spawn("munged", "--foreground", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
                    f"--log-file={self.folder}/munged.log", f"--pid-file={self.folder}/munged.pid",
                    f"--seed-file={self.folder}/munged.seed", "--num-threads=2")  # fmt: skip
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged made no socket")
        self._spawn("slurmctld", "-D")
        for node in NODES:
            self._spawn("slurmd", "-D", "-N", node)
        self._wait(lambda: self.call("sinfo", "-h", "-o", "%D %t", check=False).split() == ["2", "idle"], "nodes do not come up")

    def _write_configuration(self) -> None:
        controller, *ports = free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=1000 State=UNKNOWN"
            for name, port in zip(NODES, ports)
        )
        text = CONFIGURATION.format(
            host=host, port=controller, user=getpass.getuser(), folder=self.folder, nodes=nodes, names=",".join(NODES)
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        for name in ("state", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    def _spawn(self, *command: str) -> None:
        name = "-".join(word for word in (command[0], *command[1:]) if word in (command[0], *NODES))
        with open(self.folder / f"{name}.out", "wb") as output:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environ, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder
            )

    def _wait(self, condition, problem: str, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{problem}; ended: {ended or 'none'}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """The last lines of each daemon's log."""
        paths = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in paths)

    def call(self, *command: str, check: bool = True, **environ: str) -> str:
        """Run one of slurm's programs; what it printed."""
        result = subprocess.run(command, env=self.environ | environ, capture_output=True, text=True, timeout=100)
        assert not check or result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}\n{self.logs()}"
        return result.stdout

    def job(self, number: str) -> dict[str, str]:
        """A job as the controller shows it: JobState, Restarts, ExitCode …"""
        words = self.call("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def stop(self) -> None:
        """End the jobs, then the daemons and whatever they had started."""
        ours = [psutil.Process(daemon.pid) for daemon in self.daemons.values() if daemon.poll() is None]
        if "slurmctld" in self.daemons and self.daemons["slurmctld"].poll() is None:
            self.call("scancel", "--signal=KILL", "--full", "--state=RUNNING", "--quiet", "--me", check=False)
            self.call("scancel", "--quiet", "--me", check=False)
            deadline = time.monotonic() + 10
            while self.call("squeue", "-h", "-t", "R,CG", check=False).strip() and time.monotonic() < deadline:
                time.sleep(0.2)
        left = self._left(ours)
        for process in [*reversed(ours), *left]:
            _end(process, "terminate")
        _, alive = psutil.wait_procs([*ours, *left], timeout=5)
        for process in alive:
            _end(process, "kill")
        for daemon in self.daemons.values():
            daemon.wait()

    def _left(self, ours: list[psutil.Process]) -> list[psutil.Process]:
        """What else has this cluster's configuration in its environment: slurmstepd, which leaves its slurmd, and its tasks."""
        found = []
        for process in psutil.process_iter():
            try:  # not psutil's environ(): slurmstepd writes its title over the beginning of it
                if self.environ["SLURM_CONF"].encode() in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes():
                    found.append(process)
            except OSError:
                continue
        return [process for process in found if process not in ours]


def _end(process: psutil.Process, how: str) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        pass


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
