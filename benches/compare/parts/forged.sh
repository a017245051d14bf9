# Forged replies: four before each right one, of one kind at a time. Nobody may get the forged address.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_forged() {
    local kind round_number port=5400 cost base wrongs
    local kinds=(none id question case port)
    for kind in "${kinds[@]}"; do
        port=$((port + 1))
        if [ "$kind" = none ]; then start_forger "forger-$kind" $port; else
            start_forger "forger-$kind" $port "$kind" "$kind" "$kind" "$kind"
        fi
        upstream="$forger_addr:$port" start_ours "forged-$kind" $port
        by_load "forged-$kind" -p 'warm{}.example A' -m 2000
    done
    for round_number in $(seq "$rounds"); do
        for kind in "${kinds[@]}"; do
            lenient=yes round forged "forged-$kind" load -p "f$round_number-{}.example A" -A 192.0.2.1 -l "$load_seconds"
        done
    done
    base=$(median forged forged-none load 4)
    for kind in "${kinds[@]}"; do
        wrongs=$(awk -v n="forged-$kind" '$1 == n { s += $10 } END { print s + 0 }' "$dir/forged.rounds")
        target='none wrong' aimed=forged-$kind rows forged "misses, forged replies: $kind, $wrongs clients deceived" load \
            'times forged-none' "forged-$kind"
        [ "$wrongs" -eq 0 ] || failed="$wrongs clients got a forged answer ($kind)"
        [ "$kind" = none ] || {
            cost=$(awk -v with="$(median forged "forged-$kind" load 4)" -v without="$base" 'BEGIN { printf "%.2f", (with - without) / 4 }')
            row "one forged reply: $kind" horizond bench-load '' "$cost" "$(ratio "$cost" "$base") (it / a miss)" '' '' '' ''
        }
    done
}
