# Hits: 10,000 names over three routes, all in the cache with an hour to live, against the bare echo.

measure_hits() {
    local echo_pid epoll_pid ours_pid misses
    start_echo && echo_pid=$pid
    start_epoll_echo && epoll_pid=$pid
    start_ours hits $port udp && ours_pid=$pid
    fill "$ours_addr" $port "$dir/10k"
    load "$ours_addr" $port "$dir/10k" -l 1
    load "$bare_addr" $port "$dir/10k" -l 1
    misses=$(cache_figure hits misses)
    threads_us "$ours_pid" >"$dir/threads.before"
    for _ in $(seq "$rounds"); do
        round hits echo "$echo_pid" "$bare_addr" $port "$dir/10k" -l "$seconds"
        round hits horizond "$ours_pid" "$ours_addr" $port "$dir/10k" -l "$seconds"
        round hits epoll-echo "$epoll_pid" "$bare_addr" $((port + 1)) "$dir/10k" -l "$seconds"
    done
    threads_us "$ours_pid" >"$dir/threads.after"
    [ "$(cache_figure hits misses)" = "$misses" ] || die "some of the hits were misses"
    note "hits    CPU time by thread: $(awk 'NR == FNR { before[$1] = $3; next }
        { printf "%s %.2f s  ", $2, ($3 - before[$1]) / 1e6 }' "$dir/threads.before" "$dir/threads.after")"
    stop "$echo_pid"
    stop "$epoll_pid"
    stop "$ours_pid"

    local e o p
    e=$(median hits echo 2) o=$(median hits horizond 2)
    row 'hits, queries a second' "$e" "$o" "$(ratio "$o" "$e") (ours / echo)" ''
    e=$(median hits echo 4) o=$(median hits horizond 4)
    row 'hits, CPU µs a query' "$e" "$o" "$(ratio "$e" "$o") (echo / ours)" 'at least 0.92'
    p=$(median hits epoll-echo 4)
    row 'the same for an echo that waits by epoll, CPU µs' "$e" "$p" "$(ratio "$e" "$p") (echo / this)" ''
}
