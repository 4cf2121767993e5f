"""ec2/sky.yaml, read by SkyPilot itself: `make test-sky`. It needs no account, and nothing is sent to anybody."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

SKY = os.environ.get("SEEPSEG_SKY")
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(SKY is None, reason="needs SkyPilot: make test-sky")]

VALUES = {
    "SEEPSEG_RUN": "night-1",
    "SEEPSEG_COMMAND": "dvc exp run -S loss.name='dice bce'",
    "SEEPSEG_REMOTE": "s3://my-bucket/seepseg",
}

# Runs in SkyPilot's environment: what `sky jobs launch`, then the server and the controller of jobs make of a file.
READER = """
import fnmatch, json, os, socket, sys

asked = []
def refuse(*arguments, **options):
    asked.append(repr(arguments[-1]))
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse

from sky import backends, skypilot_config
from sky.jobs.recovery_strategy import StrategyExecutor
from sky.jobs.utils import generate_managed_job_cluster_name
from sky.server import plugins
from sky.skylet.log_lib import make_task_bash_script
from sky.utils import controller_utils, dag_utils

settings = skypilot_config.to_dict()  # which the command sends to the server
os.environ["IS_SKYPILOT_SERVER"] = "true"  # from here on keys are checked as strictly as the server does
plugins.load_plugins(plugins.ExtensionContext())
path, values, statuses = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
dag = dag_utils.load_chain_dag_from_yaml(path, env_overrides=list(values.items()))
dag_utils.maybe_infer_and_fill_dag_and_task_names(dag)
dag_utils.fill_default_config_in_dag_for_job_launch(dag)
dag.validate()
(task,) = dag.tasks
resources = [
    {"cloud": str(each.cloud), "accelerators": each.accelerators, "spot": each.use_spot, "disk": each.disk_size}
    for each in task.resources
]
backend = backends.CloudVmRayBackend()
executor = StrategyExecutor.make("seepseg-1", backend, task, 1, 0, None, set(), None, None)
# Which role a machine gets, as SkyPilot's write_cluster_config finds it.
names = [generate_managed_job_cluster_name(name, 7) for name in (task.name, "night-1")]
names.append(controller_utils.Controllers.JOBS_CONTROLLER.value.cluster_name)
pairs = [pair for line in settings["aws"]["remote_identity"] for pair in line.items()]
roles = [next(role for pattern, role in pairs if fnmatch.fnmatchcase(name, pattern)) for name in names]
print("READ " + json.dumps({
    "name": task.name, "workdir": task.workdir, "envs": task.envs, "file_mounts": task.file_mounts,
    "local_files": task.get_local_to_remote_file_mounts(), "resources": resources, "roles": roles,
    "strategy": type(executor).__name__,
    "recovers": [executor.should_restart_on_failure(None if s is None else [s]) for s in statuses],
    "setup": make_task_bash_script(task.setup, task.envs), "run": make_task_bash_script(task.run, task.envs),
    "asked": asked,
}))
"""


class RefusedError(Exception):
    """SkyPilot's words where it takes no file."""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Let SkyPilot read a file, and give what it read."""
    home = tmp_path_factory.mktemp("home")
    # SkyPilot fetches this list of names otherwise.
    names = home / ".sky/catalogs/v8/common/accelerators.csv"
    names.parent.mkdir(parents=True)
    names.write_text("AcceleratorName,Clouds\nA10G,AWS\nL4,AWS\nT4,AWS\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SKYPILOT_", "SEEPSEG_"))}
    env |= {"HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}

    def read(path=ROOT / "ec2/sky.yaml", values=VALUES, statuses=()):
        command = [SKY, "-c", READER, str(path), json.dumps(values), json.dumps(statuses)]
        process = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise RefusedError(process.stderr)
        (found,) = (line for line in process.stdout.splitlines() if line.startswith("READ "))
        return json.loads(found.removeprefix("READ "))

    return read


@pytest.fixture(scope="module")
def task(read):
    return read()


def test_skypilot_reads_what_the_file_means(task):
    assert task["name"] == "seepseg"
    assert task["envs"] == VALUES | {
        "SEEPSEG_TIME_LIMIT": "24h",
        "AWS_METADATA_SERVICE_TIMEOUT": "5",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5",
    }
    assert task["strategy"] == "EagerFailoverStrategyExecutor"
    by_name = sorted(task["resources"], key=lambda each: list(each["accelerators"]))
    assert by_name == [
        {"cloud": "AWS", "accelerators": {name: 1}, "spot": True, "disk": 100} for name in ("A10G", "L4", "T4")
    ]


def test_nothing_is_sent_from_the_laptop(task):
    assert task["file_mounts"] == {"~/revision.bundle": "s3://my-bucket/seepseg/ec2/night-1/revision.bundle"}
    assert not task["local_files"]
    assert task["workdir"] is None
    assert task["asked"] == []


def test_machines_get_the_role_of_the_worker_whatever_the_name_of_the_run(task):
    assert task["roles"] == ["seepseg-worker", "seepseg-worker", "LOCAL_CREDENTIALS"]


def test_an_interrupted_run_goes_on_as_often_as_it_takes(read):
    assert read(statuses=[75] * 20)["recovers"] == [True] * 20


def test_a_failed_run_is_tried_once_more(read):
    assert read(statuses=[1, 1])["recovers"] == [True, False]


def test_a_status_that_was_lost_with_the_machine_is_tried_once_more(read):
    assert read(statuses=[75, None, 75, 75])["recovers"] == [True] * 4


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_was_not_given_is_refused(read, name):
    with pytest.raises(RefusedError, match=f"Environment variable '{name}' is None"):
        read(values={other: value for other, value in VALUES.items() if other != name})


@pytest.mark.parametrize(
    ("place", "key"),
    [((), "setups"), (("resources",), "spot"), (("resources", "job_recovery"), "recover_on_exit_code")],
)
def test_a_wrong_key_is_refused(read, tmp_path, place, key):
    content = yaml.safe_load((ROOT / "ec2/sky.yaml").read_text())
    block = content
    for step in place:
        block = block[step]
    block[key] = [75]
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(RefusedError, match=f"'{key}'"):
        read(path)


# Stands for uv, as far as ec2/sky.yaml asks it.
UV = """#!/bin/sh
case "$*" in
  "python install --quiet 3.11") touch "$HOME/installed" ;;
  "python find --managed-python 3.11") [ -e "$HOME/installed" ] && echo "$HOME/python" ;;
  *) echo "unknown: $*" >&2; exit 2 ;;
esac
"""

# Stands for Python, and makes virtual environments in no time: they install nothing.
PYTHON = f"""#!/bin/sh
echo "$*" >> "$HOME/calls"
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin; cp "$HOME/python" .venv/bin/python ;;
  "-m pip "*|"-m tools.plots_page") ;;
  *) exec {sys.executable} "$@" ;;
esac
"""

WORKER = """
import json, os, pathlib, subprocess
head = subprocess.run(["git", "log", "--format=%H"], capture_output=True, text=True, check=True).stdout.split()
told = {name: value for name, value in os.environ.items() if name.startswith("SEEPSEG_")}
(pathlib.Path.home() / "worker.json").write_text(json.dumps({"log": head, "told": told, "folder": os.getcwd()}))
raise SystemExit(75)
"""


def git(folder, *arguments):
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machine(tmp_path):
    """The home of a new machine: what SkyPilot's images and SkyPilot itself put there, as far as it is needed."""
    home = tmp_path / "home"
    for folder in ("sky_workdir", ".local/bin"):
        (home / folder).mkdir(parents=True)
    for path, script in (home / ".local/bin/uv", UV), (home / "python", PYTHON):
        path.write_text(script)
        path.chmod(0o755)
    return home


def execute(script, home):
    """Execute a script of the task as SkyPilot does on a machine."""
    path = home / "script.sh"
    path.write_text(script)
    env = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/bash", "-i", path], env=env, capture_output=True, text=True, check=False, start_new_session=True
    )


def test_the_scripts_run_the_worker_in_the_revision_that_was_sent(task, machine, tmp_path):
    source = tmp_path / "source"
    git(tmp_path, "clone", "--quiet", ROOT, source)
    (source / "ec2").mkdir(exist_ok=True)
    (source / "ec2/__init__.py").write_text("")
    (source / "ec2/worker.py").write_text(WORKER)
    git(source, "add", "ec2")
    git(source, "commit", "--quiet", "--message", "a worker that only tells")
    git(source, "bundle", "create", "--quiet", machine / "revision.bundle", "HEAD")
    for _ in range(2):  # again on the same machine
        setup = execute(task["setup"], machine)
        assert setup.returncode == 0, setup.stdout + setup.stderr
    run = execute(task["run"], machine)
    assert run.returncode == 75, run.stdout + run.stderr
    worker = json.loads((machine / "worker.json").read_text())
    assert worker["told"] == VALUES | {"SEEPSEG_TIME_LIMIT": "24h"}
    assert worker["folder"] == str(machine / "seepseg")
    assert worker["log"] == git(source, "log", "--format=%H").split()
    calls = (machine / "calls").read_text().splitlines()
    assert [call for call in calls if call.endswith("-r requirements.txt")] == [
        "-m pip install --quiet --disable-pip-version-check -r requirements.txt"
    ]


def test_a_machine_stops_at_its_time_limit(read, machine):
    folder = machine / "seepseg"
    (folder / ".venv/bin").mkdir(parents=True)
    python = folder / ".venv/bin/python"
    python.write_text("#!/bin/bash\ntrap 'echo stopped; exit 75' TERM\nsleep 60 & wait\n")
    python.chmod(0o755)
    run = execute(read(values=VALUES | {"SEEPSEG_TIME_LIMIT": "1s"})["run"], machine)
    assert (run.returncode, run.stdout.strip()) == (124, "stopped"), run.stderr


def test_the_setup_fails_where_no_revision_was_sent(task, machine):
    setup = execute(task["setup"], machine)
    assert setup.returncode != 0
    assert "revision.bundle" in setup.stderr
    assert not (machine / "installed").exists()  # it went no further
