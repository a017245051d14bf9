# Latency: one question at a time, client and server on the same CPU, all servers in turn.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_latency() {
    local name addr to word p50 p99 base50 base99 servers=(echo horizond) asked_at=()
    start_echo echo 5300
    start_echo epoll-echo 5302 epoll
    start_ours horizond 5300
    start_peers
    servers+=("${peers[@]}" epoll-echo)
    for name in "${servers[@]}"; do
        read -r addr to <<<"${at[$name]}"
        asked_at+=("$addr:$to")
        [[ $name = *echo ]] || fill "$name" -d "$dir/one" -n 1000
    done
    read -r word _ <"$dir/one"
    taskset -c "$server_cpu" "$bin/examples/bench-ask" latency "$word" "$asked" 1000 "${asked_at[@]}" \
        >"$dir/latency" || die "bench-ask failed"
    read -r base50 base99 < <(awk 'NR == 1 { print $3, $5 }' "$dir/latency")
    while read -r name _ _ p50 _ p99; do
        row 'hit, one outstanding, same CPU' "$name" bench-ask '' '' \
            "$(ratio "$p50" "$base50"), $(ratio "$p99" "$base99") (it / echo)" "$p50" "$p99" '' \
            "$([ "$name" != horizond ] || echo 'p50 and p99 at most 1.10')"
    done < <(paste -d' ' <(printf '%s\n' "${servers[@]}") "$dir/latency")
}
