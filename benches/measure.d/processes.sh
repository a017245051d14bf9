# What is started and ended, and what it costs: processes by id, their CPU time, their memory.

started=()

begin() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/horizond-measure.XXXXXX")
    trap finish EXIT
    trap 'exit 130' INT TERM
    : >"$dir/rows" && : >"$dir/notes"
    generate_files
    start_nsd
}

# Ends what was started here, and nothing else.
finish() {
    local pid
    for pid in "${started[@]}"; do stop "$pid"; done
    rm -rf "$dir"
}

# stop PID: asks it to end, insists after 3 s.
stop() {
    kill "$1" 2>/dev/null || return 0
    for _ in $(seq 60); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

die() {
    echo "measure: $*" >&2
    exit 70
}

# on CPU NAME COMMAND...: starts it on one CPU, its output in a file of that name; its id is in $pid.
on() {
    local cpu=$1 name=$2
    shift 2
    taskset -c "$cpu" "$@" >"$dir/$name.out" 2>&1 &
    pid=$!
    started+=("$pid")
}

# await NAME COMMAND...: repeats the command until it succeeds, 5 s at most.
await() {
    local name=$1
    shift
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/$name.out" >&2
    die "$name did not start"
}

# ticks FILE: user and system time in a stat file of /proc, in clock ticks. The name in parentheses
# may hold anything, so what comes before its end is cut.
ticks() { awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "$1"; }

tick_us=$((1000000 / $(getconf CLK_TCK)))

cpu_us() { echo $(($(ticks "/proc/$1/stat") * tick_us)); }

# threads_us PID: a line for each thread: its id, its name, its CPU time.
threads_us() {
    local task
    for task in "/proc/$1/task"/*; do
        echo "${task##*/} $(cat "$task/comm") $(($(ticks "$task/stat") * tick_us))"
    done
}

rss_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status"; }
