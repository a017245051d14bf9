# Load, medians, and the table.

# load ADDR PORT FILE OPTION...: dnsperf on the other CPU; sets $completed, $lost, $qps.
load() {
    local addr=$1 to=$2 file=$3
    shift 3
    taskset -c 1 dnsperf -s "$addr" -p "$to" -d "$file" -c 8 -q 128 -t 2 "$@" >"$dir/dnsperf.out" 2>&1 ||
        { cat "$dir/dnsperf.out" >&2 && die "dnsperf failed"; }
    read -r completed lost qps < <(awk '/Queries completed:/ { c = $3 } /Queries lost:/ { l = $3 }
        /Queries per second:/ { q = $4 } END { printf "%d %d %d\n", c, l, q }' "$dir/dnsperf.out")
    [ "$completed" -gt 0 ] || die "$addr:$to does not answer"
    awk '/Response codes:/ && !/NOERROR [0-9]+ \(100/ { bad = 1 } END { exit bad }' "$dir/dnsperf.out" ||
        die "$addr:$to answers failures: $(grep 'Response codes' "$dir/dnsperf.out")"
}

# fill ADDR PORT FILE: has every name of the file asked until none was lost.
fill() {
    for _ in 1 2 3; do
        load "$1" "$2" "$3" -n 1
        [ "$lost" -gt 0 ] || return 0
    done
    die "$1:$2 loses queries while its cache is filled"
}

# round PART NAME PID ADDR PORT FILE OPTION...: one round; appends a line to the part's file.
round() {
    local part=$1 name=$2 of=$3 before
    shift 3
    before=$(cpu_us "$of")
    load "$@"
    awk -v n="$name" -v q="$qps" -v l="$lost" -v c="$completed" -v us=$(($(cpu_us "$of") - before)) \
        'BEGIN { printf "%s %d %d %.2f\n", n, q, l, us / c }' >>"$dir/$part.rounds"
    note "$(tail -1 "$dir/$part.rounds" | awk -v p="$part" '{ printf "%-6s  %-12s %7d q/s  %4d lost  %6.2f us a query", p, $1, $2, $3, $4 }')"
}

# median PART NAME COLUMN: of a part's rounds (2 is queries a second, 4 microseconds a query).
median() {
    awk -v n="$2" -v c="$3" '$1 == n { print $c }' "$dir/$1.rounds" | sort -g |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
mib() { awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'; }

# row WHAT BARE OURS RATIO TARGET
row() { printf '| %s | %s | %s | %s | %s |\n' "$@" >>"$dir/rows"; }
note() { echo "$*" | tee -a "$dir/notes" >&2; }

print_table() {
    local cpu
    cpu=$(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo)
    echo
    echo "$(date -u +%Y-%m-%d), ${cpu:-$(uname -m)}, $(nproc) CPUs, Linux $(uname -r), $(rustc --version | cut -d' ' -f1-2)," \
        "horizond $(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown);" \
        "$rounds rounds of $seconds s; load average $load_before before, $(cut -d' ' -f1-3 /proc/loadavg) after"
    echo
    echo '| what | bare | horizond | ratio | target |'
    echo '| --- | --- | --- | --- | --- |'
    cat "$dir/rows"
    echo
    echo 'The rounds, in their order:'
    echo
    sed 's/^/    /' "$dir/notes"
}
