#!/usr/bin/env bash
# This host's part of the job's Ray cluster: ray.sh HOST:PORT CPUS. The first host of the step is the head.
set -euo pipefail
if [ "${SLURM_NODEID:-0}" = 0 ]; then
  exec ray start --head --port "${1##*:}" --num-cpus "$2" --num-gpus 0 --object-store-memory 268435456 \
    --include-dashboard false --disable-usage-stats --block
fi
until ray health-check --address "$1" >/dev/null 2>&1; do sleep 2; done
exec ray start --address "$1" --num-cpus "$2" --num-gpus 0 --object-store-memory 268435456 --disable-usage-stats --block
