# Start: from exec to the first answer, asked every 0.2 ms; medians.

measure_start() {
    local own real name
    config start $port udp
    read -r name _ <"$dir/one"
    own=$(median_start id.server CH/TXT)
    real=$(median_start "$name" IN/A)
    row 'start to the first answer of its own, ms' '' "$own" '' 'at most 30'
    row 'start to the first forwarded answer, ms' '' "$real" '' 'at most 30'
}

median_start() {
    for _ in $(seq "$starts"); do
        "$bin/examples/bench-ask" start "$1" "$2" "$ours_addr:$port" \
            "$bin/horizond" run --config "$dir/start.toml" || die "bench-ask failed"
    done | sort -g | awk '{ v[NR] = $1 } END { printf "%.1f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
