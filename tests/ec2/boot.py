"""Machines that boot: Debian with systemd and cloud-init, in a container, each on a disk of its own.

Their network is that of this machine, where the servers of the tests are. They trust the certificate authorities that
this machine trusts, and install Python packages from where it does.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

IMAGE = os.environ.get("SEEPSEG_MACHINE")  # folder with a Debian, made by `make test-ec2`
DATASOURCE = "datasource_list: [NoCloud]\nnetwork: {config: disabled}\n"


class BootedMachine:
    """A machine as it comes from an image, with user data.

    Attributes:
        disk: what it sees as its file system.
    """

    def __init__(self, folder, instance, user_data):
        self.disk, self._console = folder / "disk", folder / "console.txt"
        for name in ("disk", "written", "work"):
            (folder / name).mkdir(parents=True)
        layers = f"lowerdir={IMAGE},upperdir={folder / 'written'},workdir={folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", self.disk], check=True)
        self._write("etc/cloud/cloud.cfg.d/99_tests.cfg", DATASOURCE)
        self._write("var/lib/cloud/seed/nocloud/meta-data", f"instance-id: {instance}\n")
        self._write("var/lib/cloud/seed/nocloud/user-data", user_data)
        self._binds = []
        for name in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"):
            if Path(name).exists():
                self._write(name[1:], Path(name).read_text())
        if wheels := os.environ.get("PIP_FIND_LINKS"):
            (self.disk / wheels[1:]).mkdir(parents=True, exist_ok=True)
            self._binds = [f"--bind-ro={wheels}"]
            self._write("etc/pip.conf", self.read("etc/pip.conf", "[global]\n") + f"find-links = {wheels}\n")

    def _write(self, name, text):
        (self.disk / name).parent.mkdir(parents=True, exist_ok=True)
        (self.disk / name).write_text(text)

    def read(self, name, without=""):
        path = self.disk / name
        return path.read_text(errors="replace") if path.exists() else without

    @property
    def log(self):
        return self.read("var/log/seepseg.log")

    @property
    def console(self):
        return self._console.read_text(errors="replace")

    def boot(self):
        command = ["systemd-nspawn", "--quiet", f"--directory={self.disk}", f"--machine=seepseg-{os.getpid()}"]
        command += ["--boot", "--register=no", "--keep-unit", "--resolv-conf=copy-host", *self._binds]
        with self._console.open("a") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        return self

    def wait_for(self, is_there, seconds=900):
        """Wait for what the machine does."""
        ends = time.monotonic() + seconds
        while not (found := is_there()):
            assert time.monotonic() < ends, f"waited too long; the log: {self.log}\nthe console: {self.console}"
            assert self._process.poll() is None, f"it is off; the log: {self.log}\nthe console: {self.console}"
            time.sleep(0.5)
        return found

    def until_it_trains(self):
        return self.wait_for(lambda: list(self.disk.glob("srv/seepseg/repository/.checkpoints/*/current.pt")))

    def reboot(self):
        """As `reboot` does it: services are stopped first."""
        (leader,) = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        os.kill(int(leader), signal.SIGINT)

    def shut_down(self):
        """As EC2 ends an instance: services are stopped first."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=180)

    def is_off(self, seconds=900):
        """Whether it shuts itself down in time."""
        try:
            return self._process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            return False

    def remove(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        subprocess.run(["umount", "--lazy", self.disk], check=True)
        shutil.rmtree(self.disk.parent)
