# The table.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'; }
mib() { awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'; }
note() { echo "$*" | tee -a "$notes" >&2; }

# row LOAD SERVER BY QPS CPU RATIO P50 P99 RSS TARGET
row() { printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$@" >>"$rows"; }

# rows PART LOAD GENERATOR BASE SERVER...: a row for each server from the medians of the rounds. BASE
# is "echo NAME" (the ratio is its CPU time by the server's: the kernel's share), "times NAME" (the
# server's by its) or "none". $target is for our row.
rows() {
    local what=$1 label=$2 generator=$3 base=$4 name qps cpu p50 p99 rss against text
    shift 4
    for name in "$@"; do
        [ -n "$(median "$what" "$name" "$generator" 3)" ] || continue
        qps=$(median "$what" "$name" "$generator" 3) cpu=$(median "$what" "$name" "$generator" 4)
        p50=$(median "$what" "$name" "$generator" 5) p99=$(median "$what" "$name" "$generator" 6)
        rss=$(mib "$(median "$what" "$name" "$generator" 7)")
        if [ "$generator" = load ]; then
            p50=$(printf '%.1f' "$p50") p99=$(printf '%.1f' "$p99")
        else
            p50='' p99=''
        fi
        text='' against=${base#* }
        case $base in
        "echo $name" | "times $name") text=1 ;;
        echo*) text="$(ratio "$(median "$what" "$against" "$generator" 4)" "$cpu") ($against / it)" ;;
        times*) text="$(ratio "$cpu" "$(median "$what" "$against" "$generator" 4)") (it / $against)" ;;
        esac
        row "$label" "$name" "$(tool "$generator")" "$(awk -v q="$qps" 'BEGIN { printf "%d", q }')" \
            "$(awk -v c="$cpu" 'BEGIN { printf "%.2f", c }')" "$text" "$p50" "$p99" "$rss" \
            "$([ "$name" != "${aimed:-horizond}" ] || echo "${target:-}")"
    done
}

tool() {
    case $1 in
    load) echo bench-load ;;
    *) echo "$1" ;;
    esac
}

print_table() {
    local cpu
    cpu=$(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo)
    echo
    echo "$(date -u +%Y-%m-%d), ${cpu:-$(uname -m)}, $(nproc) CPUs, Linux $(uname -r), $(rustc --version | cut -d' ' -f1-2)," \
        "horizond $(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)$(peer_versions);" \
        "$rounds rounds of $seconds s; load average $load_before before, $(cut -d' ' -f1-3 /proc/loadavg) after;" \
        "$((SECONDS - begun)) s in all"
    echo
    echo '| load | server | by | queries a second | CPU µs a query | ratio | p50 µs | p99 µs | RSS MiB | target |'
    echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |'
    cat "$rows"
    echo
    echo 'The rounds, in their order:'
    echo
    sed 's/^/    /' "$notes"
}

peer_versions() {
    local peer
    for peer in "${peers[@]}" nsd dnsperf; do
        case $peer in
        dnsdist) printf ', %s' "$(dnsdist --version | awk '{ print $1, $2; exit }')" ;;
        unbound) printf ', unbound %s' "$(unbound -V | awk '{ print $2; exit }')" ;;
        dnsmasq) printf ', dnsmasq %s' "$(dnsmasq --version | awk '{ print $3; exit }')" ;;
        nsd) printf ', nsd %s' "$(nsd -v 2>&1 | awk '{ print $3; exit }')" ;;
        dnsperf) printf ', dnsperf %s' "$(dnsperf -h 2>&1 | awk '/Version/ { print $NF; exit }')" ;;
        esac
    done
}
