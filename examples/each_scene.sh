#!/bin/sh
# Every scene of a folder, one after another; run it again to go on after an interruption.
#   sh each_scene.sh scenes dem.tif results
set -u

scenes=$1
dem=$2
results=$3
failed=0
mkdir -p "$results"
for scene in "$scenes"/*.tif; do
    output="$results/$(basename "$scene" .tif).gpkg"
    if [ -e "$output" ]; then
        continue
    fi
    glacierx extract "$scene" --dem "$dem" -o "$output" --resume || failed=3
done
exit "$failed"
