#!/bin/bash
# Train a recipe on one or several machines. Run this script with the same arguments on each; the run directory must be
# on a shared disk.
#
#   PROCESSES=4 torchrun.sh recipe.yaml                                          one machine, four processes
#   MACHINES=2 FIRST=node1:29500 torchrun.sh recipe.yaml --set run=/disk/en-de   on each of two machines
#
# Environment variables, with their defaults in parentheses:
#   MACHINES   number of machines (1)
#   PROCESSES  processes per machine: a number, or `gpu` for one per GPU (gpu)
#   FIRST      rendezvous of all processes: name of one of the machines, and a free port on it (localhost:29500)
#   RESTARTS   how often all processes are restarted from the last checkpoint after one has failed (3)
#
# Give the run directory as --set run=DIR: torchrun interprets --run as one of its own options.
set -eu
# Without this, restarted processes may wait on the address of their predecessors (PyTorch issue 135712).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
# Import nothing from the current folder, which may contain files of other people.
export PYTHONSAFEPATH=1
exec torchrun \
    --nnodes="${MACHINES:-1}" \
    --nproc-per-node="${PROCESSES:-gpu}" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="${FIRST:-localhost:29500}" \
    --rdzv-id=nmt \
    --max-restarts="${RESTARTS:-3}" \
    -m nmt_cli train "$@"
