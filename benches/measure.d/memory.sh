# Memory: resident set after the start, and with 10,000 and 100,000 names in the cache.

measure_memory() {
    local ours_pid idle small large count bytes grown
    start_ours memory $port udp && ours_pid=$pid
    idle=$(rss_kib "$ours_pid")
    fill "$ours_addr" $port "$dir/10k"
    # The cache keeps house once a second.
    sleep 1.5
    small=$(rss_kib "$ours_pid")
    fill "$ours_addr" $port "$dir/100k"
    sleep 1.5
    large=$(rss_kib "$ours_pid")
    count=$(cache_figure memory entries) bytes=$(cache_figure memory bytes)
    stop "$ours_pid"

    grown=$(((large - idle) * 1024))
    row 'RSS idle, MiB' '' "$(mib "$idle")" '' 'at most 10'
    row 'RSS with 10,000 names, MiB' '' "$(mib "$small")" '' ''
    row 'RSS with 100,000 names, MiB' '' "$(mib "$large")" '' 'at most 60'
    row "growth for $count entries, MiB" "$(mib $((bytes / 1024))) (what the cache says)" \
        "$(mib $((grown / 1024)))" "$(ratio "$grown" "$bytes") (grown / said)" '0.85 to 1.15'
}
