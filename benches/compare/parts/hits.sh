# Hits: 10,000 names over three routes, all in the cache with an hour to live, against the bare echo.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_hits() {
    local name round_number before answered=0 servers=(echo horizond)
    start_echo echo 5300
    start_echo epoll-echo 5302 epoll
    start_ours horizond 5300
    start_peers
    servers+=("${peers[@]}")
    by_load echo -d "$dir/10k" -n 1
    for name in "${servers[@]:1}"; do fill "$name" -d "$dir/10k" -n 1; done
    threads_us "${pid_of[horizond]}" >"$dir/threads.before"
    before=$(nsd_count)
    for round_number in $(seq "$rounds"); do
        for name in "${servers[@]}" epoll-echo; do
            round hits "$name" dnsperf -d "$dir/10k" -l "$seconds"
            answered=$((answered + completed))
        done
        for name in "${servers[@]}" epoll-echo; do
            round hits "$name" load -d "$dir/10k" -l "$load_seconds"
            answered=$((answered + completed))
        done
    done
    [ $((($(nsd_count) - before) * 1000)) -le "$answered" ] || die "some of the hits were misses"
    threads_us "${pid_of[horizond]}" >"$dir/threads.after"
    note "hits: our CPU time by thread: $(awk 'NR == FNR { before[$1] = $3; next }
        { printf "%s %.2f s  ", $2, ($3 - before[$1]) / 1e6 }' "$dir/threads.before" "$dir/threads.after")"

    target='at least 0.92' rows hits hits dnsperf 'echo echo' "${servers[@]}" epoll-echo
    target='' rows hits hits load 'echo echo' "${servers[@]}" epoll-echo
}
