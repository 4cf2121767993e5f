#!/bin/bash
# User data of an EC2 instance: turns a fresh one, with a driver for its GPU, into a worker for one run of seepseg.
# docs/ec2.md says how to start one. Made for Ubuntu's Deep Learning image, tried on Debian 12; Amazon Linux was not.
#
# What to run is told by tags of the instance, which its metadata must show (InstanceMetadataTags=enabled), or by lines
# such as `SEEPSEG_RUN=night-1` below the first one:
#   SEEPSEG_RUN         seepseg-run         name of the run, and of the experiment that comes of it
#   SEEPSEG_COMMAND     seepseg-command     dvc repro, or dvc exp run -S ...
#   SEEPSEG_REPOSITORY  seepseg-repository  what git clones, or a git bundle on S3
#   SEEPSEG_REVISION    seepseg-revision    commit, branch or tag
#   SEEPSEG_REMOTE      seepseg-remote      DVC's remote, s3://bucket/prefix
#   SEEPSEG_TIME_LIMIT  seepseg-time-limit  optional, as 90m, 24h or 2d: when this machine ends at the latest (24h)
#
# For a machine of its own: it shuts the machine down in the end, whatever comes, which has to be one that terminates then
# (InstanceInitiatedShutdownBehavior=terminate). The instance's role lets it use the bucket; no credential is in any file.
#
# At the first boot this script makes itself a service. At every boot the service installs what is missing and goes on.
set -euo pipefail

HOME=/root
AT=/opt/seepseg            # this script, its settings, the AWS command line where there is none
WORK=/srv/seepseg          # home of the user who runs it
LOG=/var/log/seepseg.log
INTERRUPTED=75             # exit status of a worker that can go on
METADATA=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}

metadata() {
  local token
  token=$(curl --fail --silent --retry 5 --max-time 10 --request PUT "$METADATA/latest/api/token" \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 60')
  curl --fail --silent --retry 5 --max-time 10 "$METADATA/latest/meta-data/$1" --header "X-aws-ec2-metadata-token: $token"
}

# Write down the settings, for this boot and later ones, then start the service.
install_service() {
  trap 'systemctl poweroff' ERR  # a machine that does nothing costs as much as one that works
  mkdir -p "$AT"
  local name tag value limit
  for name in RUN COMMAND REPOSITORY REVISION REMOTE TIME_LIMIT; do
    tag=seepseg-$(tr A-Z_ a-z- <<< $name)
    name=SEEPSEG_$name
    value=${!name:-$(metadata "tags/instance/$tag" || true)}
    printf 'export %s=%q\n' "$name" "$value"
  done > "$AT/settings"
  {
    echo "export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-$(metadata placement/region)}"
    export -p | grep -E '^declare -x AWS_(ENDPOINT_URL|EC2_METADATA)' || true  # where AWS is elsewhere, as in tests
    # The worker, DVC and git ask for the role again and again, of a service that is slow at times.
    echo "export AWS_METADATA_SERVICE_TIMEOUT=5 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5"
  } >> "$AT/settings"
  # shellcheck source=/dev/null
  . "$AT/settings"
  limit=${SEEPSEG_TIME_LIMIT:-24h}
  [[ $limit =~ ^[1-9][0-9]*[mhd]$ ]] || { echo "a time limit is as 90m, 24h or 2d; found $limit, taking 24h"; limit=24h; }
  local -A units=([m]=minutes [h]=hours [d]=days)
  {
    echo "export SEEPSEG_ENDS=$(date --date "${limit%?} ${units[${limit: -1}]}" +%s)"
    printf 'FOLDER=%q\n' "$SEEPSEG_REMOTE/ec2/$SEEPSEG_RUN"
  } >> "$AT/settings"
  cp "$0" "$AT/worker.sh"
  cat > /etc/systemd/system/seepseg.service <<UNIT
[Unit]
Description=One run of seepseg
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/bin/bash $AT/worker.sh work
ExecStopPost=/bin/bash $AT/worker.sh end
StandardOutput=append:$LOG
StandardError=inherit
# The worker has its processes leave a checkpoint, and sends it.
KillMode=mixed
TimeoutStopSec=110
# Where memory is short, the command fails and says so. Else systemd would stop the worker, as if the machine went.
OOMPolicy=continue
# After the notice that EC2 takes it away, an instance that is still there after five minutes goes on.
RestartForceExitStatus=$INTERRUPTED
RestartSec=300

[Install]
WantedBy=multi-user.target
UNIT
  # No updates meanwhile: they restart services, and hold the lock of the package manager.
  systemctl mask --now apt-daily.timer apt-daily-upgrade.timer
  systemctl daemon-reload
  systemctl enable seepseg.service
  systemctl start --no-block seepseg.service
}

# Python 3.11 or newer, git and make, by the package manager that is there.
install_packages() {
  if command -v apt-get > /dev/null; then
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    local apt=(apt-get -o DPkg::Lock::Timeout=600 --quiet --yes)
    dpkg --configure -a  # where an earlier boot was cut short
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends git make ca-certificates python3 python3-venv
    python_is_new python3 || "${apt[@]}" install --no-install-recommends python3.11 python3.11-venv
  else
    dnf --quiet --assumeyes install git make
    python_is_new python3 || dnf --quiet --assumeyes install python3.11 python3.11-pip
  fi
}

newest_python() { if python_is_new python3; then echo python3; else echo python3.11; fi; }

python_is_new() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; }

aws_command() {
  if command -v aws > /dev/null; then
    aws "$@"
  else
    [ -x "$AT/aws/bin/aws" ] ||
      { "$(newest_python)" -m venv "$AT/aws" && "$AT/aws/bin/pip" install --quiet 'awscli==1.46.3'; } >&2
    "$AT/aws/bin/aws" "$@"
  fi
}

as_user() { setpriv --reuid seepseg --regid seepseg --init-groups env HOME=$WORK "$@"; }

# Everything up to the run itself; each step is done once.
work() {
  local name
  for name in SEEPSEG_RUN SEEPSEG_COMMAND SEEPSEG_REPOSITORY SEEPSEG_REVISION SEEPSEG_REMOTE; do
    [ -n "${!name}" ] || { echo "error: neither the tag of $name nor the variable is set"; exit 1; }
  done
  date --utc '+%FT%TZ: this machine has started'
  systemctl is-active --quiet seepseg-limit.timer || {
    local left=$((SEEPSEG_ENDS - $(date +%s)))
    systemd-run --quiet --collect --unit=seepseg-limit --on-active=$((left > 0 ? left : 1)) \
      /bin/bash -c 'systemctl stop seepseg.service; systemctl poweroff'
  }
  local tries=20
  # In a process of its own, as bash would overlook failures within a condition.
  until [ -e "$AT/installed" ] || bash "$AT/worker.sh" install_packages; do
    ((--tries)) || exit 1
    sleep 15  # a fresh machine may be updating itself, or its network not be there yet
  done
  touch "$AT/installed"
  id seepseg > /dev/null 2>&1 || useradd --system --create-home --home-dir $WORK --shell /bin/bash seepseg
  if [ ! -e "$WORK/cloned" ]; then
    rm -rf "$WORK/repository"
    case $SEEPSEG_REPOSITORY in
      s3://*)
        aws_command s3 cp --only-show-errors "$SEEPSEG_REPOSITORY" "$WORK/revision.bundle"
        chown seepseg "$WORK/revision.bundle"
        SEEPSEG_REPOSITORY=$WORK/revision.bundle ;;
    esac
    as_user git clone --quiet --no-checkout "$SEEPSEG_REPOSITORY" "$WORK/repository"
    as_user git -C "$WORK/repository" -c advice.detachedHead=false checkout "$SEEPSEG_REVISION"
    as_user touch "$WORK/cloned"
  fi
  cd "$WORK/repository"
  send_log || true  # whoever watches sees that the machine is there, minutes before the worker says so
  as_user make --no-print-directory PYTHON="$(newest_python)" .venv/.ready
  touch /run/seepseg-worker
  export SEEPSEG_LOG=$LOG
  exec setpriv --reuid seepseg --regid seepseg --init-groups env HOME=$WORK .venv/bin/python -m ec2.worker
}

# After each stop of the service: keep its log, and shut the machine down unless the run goes on here.
end() {
  # Whatever hangs below: this does not hang with it.
  goes_on || systemd-run --quiet --collect --on-active=100 systemctl poweroff
  # shellcheck source=/dev/null
  . "$AT/settings"
  export AWS_MAX_ATTEMPTS=2
  local command=${SEEPSEG_COMMAND//\\/\\\\}
  if ! shutting_down && [ ! -e /run/seepseg-worker ]; then
    echo "error: this machine could not be set up; what failed stands above"
    printf '{"state": "failed", "instance": "%s", "command": "%s", "revision": "%s", "message": "%s", "time": "%s"}' \
      "$(instance)" "${command//\"/\\\"}" "$SEEPSEG_REVISION" "the machine could not be set up; the log says why" \
      "$(date --utc +%FT%T+00:00)" | upload - "$FOLDER/state.json" || true
  fi
  send_log || true
  timeout 10 tail --bytes=16K "$LOG" > /dev/console 2> /dev/null || true
  goes_on || systemctl poweroff
}

send_log() { upload "$LOG" "$FOLDER/logs/$(instance).txt"; }

instance() { metadata instance-id || hostname; }

upload() { aws_command s3 cp --only-show-errors --cli-connect-timeout 10 --cli-read-timeout 20 "$@"; }

goes_on() { shutting_down || [ "${EXIT_STATUS:-}" = $INTERRUPTED ]; }

shutting_down() { [ "$(systemctl is-system-running)" = stopping ]; }

case ${1:-} in
  '') install_service ;;
  end) end ;;
  *)
    # shellcheck source=/dev/null
    . "$AT/settings"
    "$1" ;;
esac
