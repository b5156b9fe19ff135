#!/usr/bin/env bash
# Check a machine that has a GPU, and perhaps no network: bash tests/gpu/check.sh [PART ...]
# Results go to $OUT (or ./gpu-check): gpu.json, a line for each part, and what each part printed. Wheels that the machine lacks
# are taken from .gpu/ in the project's root, where there is such a folder, into a scratch folder; a tree of Detectron2 in
# .gpu/detectron2 is used, too.
set -u
cd "$(dirname "$0")/../.."
out=${OUT:-$PWD/gpu-check} python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
if compgen -G '.gpu/*.whl' >/dev/null; then
    site=$(mktemp -d)
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" .gpu/*.whl || exit 1
    export PYTHONPATH=$site:$PWD:$PWD/.gpu/detectron2:${PYTHONPATH:-}
fi
"$python" tests/gpu/check.py "$@" --device "${DEVICE:-cuda}" --out "$out/gpu.json" --log "$out"
code=$?
cat "$out/gpu.json"
exit $code
