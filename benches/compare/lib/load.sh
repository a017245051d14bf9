# Load by the two generators, rounds, medians. A generator's function takes the name of a server and
# sets completed, lost, wrong, truncated, qps, p50, p99 (0 where it does not say) and failures, the
# answers whose rcode is not $expected.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

expected=NOERROR

# by_dnsperf SERVER OPTION...: 8 clients, 128 outstanding.
by_dnsperf() {
    local addr to
    read -r addr to <<<"${at[$1]}"
    shift
    taskset -c "$load_cpu" dnsperf -s "$addr" -p "$to" -c 8 -q 128 -t 1 "$@" >"$dir/load.out" 2>&1 ||
        { cat "$dir/load.out" >&2 && die "dnsperf failed"; }
    wrong=0 truncated=0 p50=0 p99=0
    read -r completed lost qps failures < <(awk -v good="$expected" '/Queries completed:/ { c = $3 }
        /Queries lost:/ { l = $3 } /Queries per second:/ { q = $4 }
        /Response codes:/ { for (i = 3; i < NF; i++) if ($i == good) g = $(i + 1) }
        END { printf "%d %d %d %d\n", c, l, q, c - g }' "$dir/load.out")
}

# by_load SERVER OPTION...: bench-load, 8 clients and 128 outstanding unless the options say other;
# several servers with a comma between them. May have load_cpus= before it.
by_load() {
    local addr to name servers=()
    for name in ${1//,/ }; do
        read -r addr to <<<"${at[$name]}"
        servers+=("$addr:$to")
    done
    shift
    taskset -c "${load_cpus:-$load_cpu}" "$bin/examples/bench-load" "$@" "${servers[@]}" >"$dir/load.out" 2>&1 ||
        { cat "$dir/load.out" >&2 && die "bench-load failed"; }
    read -r completed lost wrong truncated qps p50 p99 failures < <(awk -v good="$expected" '$1 == "sent" {
        for (i = 1; i < NF; i += 2) v[$i] = $(i + 1)
        print v["completed"], v["lost"], v["wrong"], v["truncated"], v["qps"], v["p50_us"], v["p99_us"], v["completed"] - v[good]
    }' "$dir/load.out")
}

is_ours() { [[ $1 != dnsdist && $1 != unbound && $1 != dnsmasq ]]; }

# fill SERVER OPTION...: has the names of bench-load's options (with --runs or --most) asked until
# the upstream saw less than one query in a thousand of them, that is until all come from the cache.
# A peer that cannot do that is noted, ours ends the run.
fill() {
    local before asked_again passes=6
    is_ours "$1" || passes=3
    for _ in $(seq $passes); do
        before=$(nsd_count)
        by_load "$@" -t 1000 -l 120
        asked_again=$(($(nsd_count) - before))
        [ $((asked_again * 1000)) -gt "$completed" ] || [ "$lost" -gt 0 ] || [ "$completed" -eq 0 ] || return 0
    done
    [ "$completed" -gt 0 ] || die "$1 does not answer"
    ! is_ours "$1" || die "$1 does not keep what it was asked: $asked_again of $completed"
    note "$part: $1 asks the upstream for $asked_again of $completed names that it was asked before; $lost lost"
}

# round PART SERVER GENERATOR OPTION...: one round; appends a line to the part's file. Several servers
# may stand there with a comma between them. With lenient=yes before it, no answer at all is no error.
round() {
    local what=$1 name=$2 generator=$3 before pids=() one
    shift 3
    for one in ${name//,/ }; do pids+=("${pid_of[$one]}"); done
    before=$(cpu_us "${pids[@]}")
    "by_$generator" "$name" "$@"
    [ "$completed" -gt 0 ] || [ -n "${lenient:-}" ] || ! is_ours "$name" || die "$name does not answer ($what)"
    [ "$failures" -eq 0 ] || ! is_ours "$name" || die "$name: $failures answers of $completed are not $expected ($what)"
    awk -v n="$name" -v g="$generator" -v q="$qps" -v us=$(($(cpu_us "${pids[@]}") - before)) -v c="$completed" \
        -v p50="$p50" -v p99="$p99" -v rss="$(rss_kib "${pids[@]}")" -v l="$lost" -v f="$failures" -v w="$wrong" -v t="$truncated" \
        'BEGIN { print n, g, q, c + w ? us / (c + w) : 0, p50, p99, rss, l, f, w, t }' >>"$dir/$what.rounds"
    note "$(tail -n 1 "$dir/$what.rounds" | awk -v p="$what" '{
        printf "%-16s %-12s %-8s %7d q/s %8.2f us a query", p, $1, $2, $3, $4
        split("lost failures wrong truncated", kinds, " ")
        for (i = 1; i <= 4; i++) if ($(i + 7)) printf "  %d %s", $(i + 7), kinds[i] }')"
}

# median PART SERVER GENERATOR COLUMN: of the rounds. Columns: 3 queries a second, 4 CPU
# microseconds a query, 5 p50, 6 p99, 7 resident KiB.
median() {
    awk -v n="$2" -v g="$3" -v c="$4" '$1 == n && $2 == g { print $c }' "$dir/$1.rounds" | sort -g |
        awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
