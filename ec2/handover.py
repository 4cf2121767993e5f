"""Checkpoints in the run folder: what one machine leaves of a training, another one goes on from.

A training keeps a file of each network that is finished, and `current.pt`, which says what is next and expects the
files of all networks before (see `seepseg.training.trainer`). Copied while the training goes on, they keep that promise
if `current.pt` is read first and arrives last.
"""

import hashlib
from pathlib import Path

from ec2.run_folder import RunFolder
from seepseg.base.files import write_bytes

CHECKPOINTS = ".checkpoints"  # of stage `train`, in the repository
CURRENT = "current.pt"


class Handover:
    """Sends the checkpoints of this machine, and fetches those of the one before.

    Args:
        repository: its folder.
        run: the run's folder.
    """

    def __init__(self, repository: Path, run: RunFolder) -> None:
        self.root = repository / CHECKPOINTS
        self.run = run
        self._sent: dict[Path, str] = {}  # digests

    def fetch(self) -> int:
        """Bring the checkpoints of trainings that this machine has none of; return how many files came."""
        at = self.run.checkpoints.removeprefix("s3://")
        found = [Path(path).relative_to(at) for path in self._there()]
        wanted = [name for name in found if not (self.root / name.parent / CURRENT).exists()]
        for name in sorted(wanted, key=lambda name: name.name == CURRENT):
            write_bytes(self.root / name, self.run.files.cat_file(f"{self.run.checkpoints}/{name}"))
        return len(wanted)

    def send(self) -> int:
        """Send the checkpoints that are new since the last time; return how many bytes that were."""
        return sum(self._send(training) for training in sorted(self.root.glob("*/")))

    def _send(self, training: Path) -> int:
        contents = {}
        try:
            for path in (training / CURRENT, *sorted(training.glob("network*.pt"))):
                contents[path] = path.read_bytes()
        except FileNotFoundError:  # none yet, or the training has just ended and deletes them
            return 0
        sent = 0
        for path, content in reversed(contents.items()):
            digest = hashlib.sha256(content).hexdigest()
            if self._sent.get(path) != digest:
                self.run.files.pipe_file(f"{self.run.checkpoints}/{path.relative_to(self.root)}", content)
                self._sent[path] = digest
                sent += len(content)
        return sent

    def remove(self) -> None:
        """Delete those in the run folder: the run is done."""
        for path in self._there():
            self.run.files.rm_file(path)

    def _there(self) -> list[str]:
        """The files in the run folder; some servers list the folder itself as well."""
        return [path for path in self.run.files.find(self.run.checkpoints) if path.endswith(".pt")]
