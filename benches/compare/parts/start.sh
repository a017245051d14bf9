# Start: from exec to the first answer, asked every 0.2 ms; medians.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_start() {
    local word peer addr
    config start 5300
    read -r word _ <"$dir/one"
    start_row horizond 'start to an answer of its own' id.server CH/TXT "$ours_addr:5300" "$bin/horizond" run --config "$dir/start.toml"
    start_row horizond 'start to a forwarded answer' "$word" IN/A "$ours_addr:5300" "$bin/horizond" run --config "$dir/start.toml"
    for peer in "${peers[@]}"; do
        local -n peer_addr=${peer}_addr
        local -a command
        "prepare_$peer"
        start_row "$peer" 'start to a forwarded answer' "$word" IN/A "$peer_addr:$peer_port" "${command[@]}"
    done
}

# start_row SERVER WHAT NAME CLASS/TYPE ADDR:PORT COMMAND...
start_row() {
    local name=$1 what=$2 millis aim=''
    shift 2
    [ "$name" != horizond ] || aim='at most 30 ms'
    millis=$(for _ in $(seq "$starts"); do
        "$bin/examples/bench-ask" start "$@" || die "bench-ask failed"
    done | sort -g | awk '{ v[NR] = $1 } END { printf "%.1f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }')
    row "$what" "$name" bench-ask '' '' '' "$(awk -v ms="$millis" 'BEGIN { printf "%d", ms * 1000 }')" '' '' "$aim"
    note "start   $name $what $millis ms"
}
