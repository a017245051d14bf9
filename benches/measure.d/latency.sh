# Latency: one question at a time, client and server on the same CPU, the echoes and ours in turn.

measure_latency() {
    local echo_pid epoll_pid ours_pid name
    start_echo && echo_pid=$pid
    start_epoll_echo && epoll_pid=$pid
    start_ours latency $port udp && ours_pid=$pid
    read -r name _ <"$dir/one"
    fill "$ours_addr" $port "$dir/one"
    taskset -c 0 "$bin/examples/bench-ask" latency "$name" "$asked" 1000 \
        "$bare_addr:$port" "$ours_addr:$port" "$bare_addr:$((port + 1))" >"$dir/latency" || die "bench-ask failed"
    stop "$echo_pid"
    stop "$epoll_pid"
    stop "$ours_pid"

    local e50 e99 o50 o99 p50 p99
    read -r e50 e99 o50 o99 p50 p99 < <(awk '{ printf "%s %s ", $3, $5 } END { print "" }' "$dir/latency")
    row 'hit latency p50, µs' "$e50" "$o50" "$(ratio "$o50" "$e50") (ours / echo)" 'at most 1.10'
    row 'hit latency p99, µs' "$e99" "$o99" "$(ratio "$o99" "$e99") (ours / echo)" 'at most 1.10'
    row 'the same for an echo that waits by epoll, µs' "$e50 / $e99" "$p50 / $p99" "$(ratio "$p50" "$e50") / $(ratio "$p99" "$e99")" ''
}
