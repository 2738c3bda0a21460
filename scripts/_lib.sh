# shellcheck shell=bash
# What the scripts share: progress, the Python environment, and a place where systemd runs in containers.
# Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
BEGAN=$(date +%s)
PYTHON=${PYTHON:-python3}

elapsed() { local s=$(($(date +%s) - BEGAN)); printf '%d:%02d' $((s / 60)) $((s % 60)); }

# plan TITLE...: the steps to come; step: the next of them begins; done_all: the end.
plan() { STEPS=("$@"); STEP=0; }
step() {
  local left=$((${#STEPS[@]} - STEP - 1))
  printf '\n[%s] %d/%d %s (%d more to come)\n' "$(elapsed)" $((STEP + 1)) "${#STEPS[@]}" "${STEPS[$STEP]}" "$left"
  STEP=$((STEP + 1))
}

die() { printf '%s\n' "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "root is needed for the lab's containers and networks: run this with sudo."; }

# systemd 256 and later refuses the old cgroup layout inside containers. Where this machine has it, the lab lives in
# one mount namespace of its own with a pure cgroup2 tree; every later call enters the same one.
enter_cgroup2() {
  [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && return
  local keeper=/run/lifeboat-cgroup2.pid
  if ! { [ -s "$keeper" ] && nsenter --mount="/proc/$(cat "$keeper")/ns/mnt" stat -fc %T /sys/fs/cgroup 2>/dev/null |
    grep -q cgroup2fs; }; then
    rm -f "$keeper"
    setsid unshare --mount --propagation private bash -c \
      "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo \$\$ >$keeper && exec sleep infinity" \
      </dev/null >/dev/null 2>&1 &
    for _ in $(seq 100); do [ -s "$keeper" ] && break; sleep 0.1; done
    [ -s "$keeper" ] || die "The machine has the old cgroup layout and no mount namespace could be made within 10 s."
  fi
  exec nsenter --mount="/proc/$(cat "$keeper")/ns/mnt" --wd="$ROOT" -- "$0" "$@"
}

leave_cgroup2() {
  local keeper=/run/lifeboat-cgroup2.pid
  [ -s "$keeper" ] || return 0
  kill "$(cat "$keeper")" 2>/dev/null || true
  rm -f "$keeper"
}

# install_system_packages [PACKAGE...]: what the lab and the tests need, and these.
install_system_packages() {
  local wanted=(ethtool podman crun netavark aardvark-dns iptables mmdebstrap debian-archive-keyring openssh-client iproute2
    nftables python3-libnbd python3-venv qemu-utils util-linux "$@")
  local missing=() package
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  echo "Installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The Python environment in .venv, made anew only when what it shall hold has changed.
install_python_packages() {
  local stamp
  stamp=$({ "$PYTHON" --version; cat requirements-dev.txt; } | sha256sum | cut -d' ' -f1)
  if [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed, $("$PYTHON" --version) was found."
    rm -rf .venv
    "$PYTHON" -m venv .venv
    .venv/bin/pip install -q -r requirements-dev.txt 2> >(grep -v '^WARNING: Location' >&2)
    echo "$stamp" >.venv/stamp
  fi
  local collection=.ansible/collections/ansible_collections/lifeboat/cloud
  mkdir -p "$(dirname "$collection")"
  [ -L "$collection" ] || rm -rf "$collection" # a copy, by ansible-galaxy
  ln -sfn ../../../.. "$collection"
  export PATH="$ROOT/.venv/bin:$PATH"
}

# The drills of a run with one of these verdicts, separated by commas.
drills_with() {
  python -c 'import json, sys
drills = json.load(open(sys.argv[1]))["drills"]
print(",".join(entry["name"] for entry in drills if entry["verdict"] in sys.argv[2:]))' "reports/$1/report.json" "${@:2}"
}

# The processors' time so far, and what of it other machines on the same hardware took, in ticks.
processor_time() { awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; print all, $9 }' /proc/stat; }

# drill_round DRILLS RUN [ARGUMENT...]: the drills once. STOLEN is then what others took of the processors meanwhile, in percent.
drill_round() {
  local drills=$1 run=$2 all stolen all_then stolen_then
  shift 2
  read -r all stolen < <(processor_time)
  ansible-playbook lifeboat.cloud.drill -e "drill=$drills" -e "drill_run=$run" -e drill_fail_on_verdict=false "$@"
  read -r all_then stolen_then < <(processor_time)
  STOLEN=$((100 * (stolen_then - stolen) / (all_then - all + 1)))
}

# The drills that move servers need a whole cloud and an hour.
control_plane_drills=(-e "{\"drill_catalogue\": [\"$ROOT/roles/drill/files/catalogue\"]}")

# drill_and_repeat DRILLS TIMES [ARGUMENT...]: drills in one report. What has not passed is run again up to TIMES times,
# because other work on the machine spoils measurements. A drill that is void even then has told nothing, nor has one that failed
# while other machines took a tenth of the processors or more; any other verdict than passed is an error.
drill_and_repeat() {
  local drills=$1 times=$2 run
  shift 2
  run=$(date -u +%Y%m%dT%H%M%SZ)
  drill_round "$drills" "$run" "$@"
  for _ in $(seq "$times"); do
    drills=$(drills_with "$run" failed missed refused void)
    [ -n "$drills" ] || return 0
    printf '\nNot passed, while other machines took %d %% of the processors; once more: %s\n' "$STOLEN" "$drills"
    drill_round "$drills" "$run" "$@"
  done
  drills=$(drills_with "$run" void)
  [ -z "$drills" ] || printf '\nVoid, the machine was too busy to tell: %s\n' "$drills"
  drills=$(drills_with "$run" failed missed refused)
  [ -n "$drills" ] || return 0
  [ "$STOLEN" -lt 10 ] || { printf '\nNot told, other machines took %d %% of the processors: %s\n' "$STOLEN" "$drills"; return 0; }
  die "Drills that have not passed: $drills. See $ROOT/reports/$run/report.html"
}
