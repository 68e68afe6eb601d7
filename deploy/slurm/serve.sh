#!/usr/bin/env bash
# vLLM servers on this host, one for each GPU, at ports from 8000: serve.sh MODEL COUNT. When one ends, all do.
# Whoever reaches them can give them weights: use hosts and a network that are yours while the job lasts.
set -euo pipefail
read -ra options <<<"${VLLM_OPTIONS:-}"
IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $(($2 - 1)))}"
export VLLM_SERVER_DEV_MODE=1 VLLM_NO_USAGE_STATS=1
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'exit 143' TERM
for ((each = 0; each < $2; each++)); do
  CUDA_VISIBLE_DEVICES=${gpus[each]} python -m vllm.entrypoints.openai.api_server --model "$1" \
    --host "$(hostname)" --port $((8000 + each)) --max-model-len "${MAX_TOKENS:-8192}" --max-num-seqs "${MAX_SEQS:-256}" \
    --dtype "${DTYPE:-bfloat16}" --logprobs-mode processed_logprobs --generation-config vllm \
    --worker-extension-cls agentrl.trainer.engines.vllm_worker.WeightsExtension "${options[@]}" &
done
wait -n
