# Misses: names that nobody asked before, answered by nsd, against the bare relay; over UDP and TCP.

measure_misses() {
    local relay_pid udp_pid tcp_pid file round
    start_relay && relay_pid=$pid
    start_ours udp $((port + 1)) udp && udp_pid=$pid
    start_ours tcp $((port + 2)) tcp && tcp_pid=$pid
    names 5000 first >"$dir/first"
    load "$bare_addr" $port "$dir/first" -n 1
    load "$ours_addr" $((port + 1)) "$dir/first" -n 1
    load "$ours_addr" $((port + 2)) "$dir/first" -n 1
    for round in $(seq "$rounds"); do
        # More names than can be asked in the time; the three may share them, having a cache each.
        file=$dir/round
        names $((seconds * 100000)) "r$round" >"$file"
        round misses relay "$relay_pid" "$bare_addr" $port "$file" -n 1 -l "$seconds"
        round misses udp "$udp_pid" "$ours_addr" $((port + 1)) "$file" -n 1 -l "$seconds"
        round misses tcp "$tcp_pid" "$ours_addr" $((port + 2)) "$file" -n 1 -l "$seconds"
    done
    local hits misses rss relay udp tcp
    hits=$(cache_figure udp hits) misses=$(cache_figure udp misses)
    [ $((hits * 1000)) -le "$misses" ] || die "$hits of the misses were hits"
    rss=$(mib "$(rss_kib "$udp_pid")")
    stop "$relay_pid"
    stop "$udp_pid"
    stop "$tcp_pid"

    relay=$(median misses relay 4) udp=$(median misses udp 4) tcp=$(median misses tcp 4)
    row 'misses over UDP, CPU µs a query' "$relay" "$udp" "$(ratio "$udp" "$relay") (ours / relay)" 'at most 1.30'
    row 'misses over TCP, CPU µs a query' "$udp (ours, UDP)" "$tcp" "$(ratio "$tcp" "$udp") (TCP / UDP)" 'at most 1.00'
    row "RSS after $misses misses, MiB" '' "$rss" '' ''
}
