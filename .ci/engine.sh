# Sourced by .ci/run: what the tests of sandboxes need of the machine, a Docker engine and bubblewrap with their helpers.
# Starts an engine only where none answers, and ends only the one that it started. Uses $sudo of .ci/run.

engine_pid=
engine_log=
engine_pid_file=/var/run/docker.pid

# Print the packages of Debian whose program or library is not here.
sandbox_packages_missing() {
  local pair
  for pair in dockerd:docker.io runsc:runsc iptables:iptables ip:iproute2 bwrap:bubblewrap newuidmap:uidmap unshare:util-linux \
    debootstrap:debootstrap busybox:busybox-static as:binutils; do
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
  done
  PATH="$PATH:/usr/sbin:/sbin" ldconfig -p | grep -q 'libseccomp\.so\.2 ' || echo libseccomp2
}

# Whether the process that the pid file names is an engine.
engine_lives() {
  local pid
  pid=$($sudo cat "$engine_pid_file" 2>/dev/null) && [ "$($sudo cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]
}

engine_answers() {
  timeout 20 $sudo docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Wait until the engine answers, at most $1 seconds; stop early when the process $2 has ended.
engine_wait() {
  local end=$((SECONDS + $1))
  until engine_answers; do
    [ "$SECONDS" -lt "$end" ] || return 1
    [ -z "${2:-}" ] || $sudo kill -0 "$2" 2>/dev/null || return 1
    sleep 0.5
  done
}

# Start dockerd with the options given, in a session of its own so that Ctrl-C reaches the tests first.
engine_launch() {
  local options=("$@")
  # A dockerd that was killed leaves this file, and the next one refuses to start if any process has that number now.
  engine_lives || $sudo rm -f "$engine_pid_file"
  if [ ! -e /etc/docker/daemon.json ]; then
    # gVisor for boxes with runtime="runsc": no network, and the platform that needs nothing of the hardware.
    printf '{"runtimes": {"runsc": {"path": "%s", "runtimeArgs": ["--network=none", "--platform=ptrace"]}}}\n' \
      "$(command -v runsc)" >"$engine_log.json"
    options+=(--config-file "$engine_log.json")
  fi
  $sudo setsid dockerd "${options[@]}" >"$engine_log" 2>&1 &
  engine_pid=$!
  engine_wait 90 "$engine_pid"
}

start_engine() {
  # A service that the installation has just started may need a moment.
  if engine_answers || { engine_lives && engine_wait 60; }; then
    echo "a Docker engine answers"
    return
  fi
  engine_log=$(mktemp "${TMPDIR:-/tmp}/dockerd-XXXXXX.log")
  trap stop_engine EXIT
  echo "starting dockerd; its log is $engine_log"
  engine_launch && return
  tail -n 20 "$engine_log" >&2
  # Kernels without netfilter: boxes have no network, so the engine needs none either.
  echo "dockerd did not start; trying without its bridge" >&2
  stop_engine_process
  engine_launch --iptables=false --ip-forward=false --bridge=none && return
  echo "dockerd did not start; its log:" >&2
  cat "$engine_log" >&2
  return 1
}

stop_engine_process() {
  [ -n "$engine_pid" ] || return 0
  $sudo kill "$engine_pid" 2>/dev/null || true
  local end=$((SECONDS + 30))
  while $sudo kill -0 "$engine_pid" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
  $sudo kill -KILL "$engine_pid" 2>/dev/null || true
  wait "$engine_pid" 2>/dev/null || true
  engine_pid=
}

# Runs at the exit of .ci/run: shows the log of an engine that died under the tests.
stop_engine() {
  local status=$?
  if [ -n "$engine_pid" ] && ! $sudo kill -0 "$engine_pid" 2>/dev/null; then
    echo "dockerd ended before the tests did; the end of its log:" >&2
    tail -n 40 "$engine_log" >&2
  fi
  stop_engine_process
  [ -z "$engine_log" ] || rm -f "$engine_log" "$engine_log.json"
  return "$status"
}
