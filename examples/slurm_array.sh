#!/bin/bash
# Sixteen jobs share the scenes of a list; submit with: sbatch slurm_array.sh scenes.csv results
#SBATCH --job-name=glacierx
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --gres=gpu:1
#SBATCH --time=04:00:00
# A job that is cut short is queued again, and goes on where its scenes stopped.
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
set -euo pipefail

scenes=$1
results=$2
exec glacierx batch "$scenes" -o "$results" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
