#!/bin/sh
# `run.sh TARGET SECONDS` fuzzes one target of build/fuzz/fuzzer; `run.sh formats SECONDS` what is written in TypeScript.
# SEED makes the same changes of inputs again.
# What it found lies in build/fuzz. Prints the last line of libFuzzer's figures, and what did not hold.
set -u
target=$1 seconds=$2 log=build/fuzz/$1.log
if [ "$target" = formats ]; then
    SECONDS=$seconds exec nice "$NODE" --disable-warning=ExperimentalWarning test/fuzz/main.ts
fi
folder=$(mktemp -d)
mkdir -p "build/fuzz/corpus/$target"
MYDOCK_FUZZ_TARGET=$target MYDOCK_FUZZ_FOLDER=$folder nice build/fuzz/fuzzer -max_total_time="$seconds" -seed="${SEED:-0}" \
    -detect_leaks=0 -timeout=20 -max_len=20000 -print_final_stats=1 -artifact_prefix="build/fuzz/$target-" \
    "build/fuzz/corpus/$target" "test/native/fuzz/inputs/$target" > "$log" 2>&1
status=$?
rm -rf "$folder"
echo "$target: $(grep -a 'cov:' "$log" | tail -n 1)"
[ $status = 0 ] || grep -a -A 3 'does not hold\|ERROR\|runtime error' "$log"
exit $status
