#!/usr/bin/env bash
# Start a run, or go on with it where it was begun: what every start of a trainer calls, so that a restart is a resume.
#
#   train.sh NAME RECIPE [options of agentrl train]
#
# RUNS (/runs): the folder that holds the run's. SERVERS: addresses of vLLM servers, apart by spaces, which are waited for
# WAIT_S (1800) seconds; they fetch weights from WEIGHTS_HOST (HOST:PORT, here). RAY_ADDRESS (HOST:PORT): a cluster for
# environments; JOIN_RAY=1: this host first becomes part of it, without places for workers, since who uses a cluster must.
# NODES (1) hosts with RANKS (1) processes each go through torchrun: NODE_RANK, and the address and port of the first host,
# MASTER and MASTER_PORT (29500). GRACE_S (540): for the checkpoint after SIGTERM.
set -euo pipefail

name=${1:?usage: train.sh NAME RECIPE [options of agentrl train]}
shift
case $name in */* | . | ..) echo "train.sh: NAME is '$name', but must be that of a folder in RUNS" >&2; exit 2 ;; esac
runs=${RUNS:-/runs} end=$((SECONDS + ${WAIT_S:-1800}))

await() { # await WHAT COMMAND …
  until "${@:2}" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { echo "train.sh: $1 does not answer" >&2; exit 1; }
    sleep 2
  done
}

engine=() where=()
if [ -n "${SERVERS:-}" ]; then
  read -ra servers <<<"$SERVERS"
  if [ "${NODE_RANK:-0}" = 0 ]; then # it alone talks to them
    for url in "${servers[@]}"; do
      await "$url" python -c "import sys, urllib.request as u; u.urlopen(sys.argv[1] + '/health', timeout=5)" "$url"
    done
  fi
  engine=(--engine.name vllm) where=(--engine.urls "${servers[@]}" --engine.weights-host "${WEIGHTS_HOST:-127.0.0.1}")
fi

if [ -n "${RAY_ADDRESS:-}" ]; then
  await "the Ray head at $RAY_ADDRESS" ray health-check --address "$RAY_ADDRESS"
  if [ "${JOIN_RAY:-0}" = 1 ]; then
    ray start --address "$RAY_ADDRESS" --num-cpus 0 --num-gpus 0 --object-store-memory 268435456 >/dev/null
  fi
fi

if [ -e "$runs/$name/config.toml" ]; then
  echo "train.sh: goes on with $runs/$name; its options are those that it was begun with" >&2
  words=(agentrl train --resume "$runs/$name" "${where[@]}")
else
  # A start that was killed before it had said what the run is: at most a model of its own is in there.
  if [ -d "$runs/$name" ] && [ "${NODE_RANK:-0}" = 0 ]; then
    if find "$runs/$name" -mindepth 1 -maxdepth 1 ! -name start ! -name demonstrations.jsonl ! -name '.*' | grep -q .; then
      echo "train.sh: $runs/$name is there and is no run; choose another NAME" >&2
      exit 2
    fi
    mv "$runs/$name" "$runs/$name.unfinished.$(date +%s)"
  fi
  words=(agentrl train "$@" --out "$runs" --name "$name" "${engine[@]}" "${where[@]}")
fi

if [ "${NODES:-1}" -gt 1 ] || [ "${RANKS:-1}" -gt 1 ]; then
  # torchrun kills its ranks 30 s after it was asked to end, unless told otherwise.
  export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${GRACE_S:-540}
  words=(torchrun --nnodes "${NODES:-1}" --node-rank "${NODE_RANK:-0}" --nproc-per-node "${RANKS:-1}"
    --master-addr "${MASTER:-127.0.0.1}" --master-port "${MASTER_PORT:-29500}" --no-python "${words[@]}")
fi
exec "${words[@]}"
