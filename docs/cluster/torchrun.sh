#!/bin/bash
# Trains a recipe on one machine or many. Run it on each with the same words; the run lies on a disk that all share.
#
#   PROCESSES=4 torchrun.sh recipe.yaml                                          one machine, four processes
#   MACHINES=2 FIRST=node1:29500 torchrun.sh recipe.yaml --set run=/disk/en-de   on each of two machines
#
# MACHINES   how many there are (1)
# PROCESSES  on each of them: a number, or one for each GPU (gpu)
# FIRST      name of one of the machines, and a free port there, at which all meet (localhost:29500)
# RESTARTS   how often all processes are started again after one has failed, from the last checkpoint (3)
#
# torchrun takes --run for one of its own options, so the run directory is given by --set run=DIR.
set -eu
# After a restart, no process may read where those before it listened (PyTorch issue 135712).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec torchrun \
    --nnodes="${MACHINES:-1}" \
    --nproc-per-node="${PROCESSES:-gpu}" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="${FIRST:-localhost:29500}" \
    --rdzv-id=nmt \
    --max-restarts="${RESTARTS:-3}" \
    -m nmt_cli train "$@"
