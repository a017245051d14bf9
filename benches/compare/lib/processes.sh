# What is started and ended, and what it costs: processes by id, their CPU time, their memory.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

# Every process started here, and by the name of each server its process, address and port.
started=()
declare -A pid_of=() at=()
failed=""
notes=$tmp/notes
rows=$tmp/rows
: >"$notes" && : >"$rows"

# The CPUs this shell may use: the first is for the server under test, the second for the load, the
# third, if there is one, for the upstream.
choose_cpus() {
    local -a usable
    mapfile -t usable < <(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' |
        awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
    [ ${#usable[@]} -ge 2 ] || give_up "two CPUs are needed"
    server_cpu=${usable[0]} load_cpu=${usable[1]} upstream_cpu=${usable[2]:-${usable[1]}}
    if [ ${#usable[@]} -ge 4 ]; then
        shard_cpus=${usable[0]},${usable[3]} shard_load_cpus=$load_cpu
    else
        shard_cpus=${usable[0]},${usable[1]} shard_load_cpus=$shard_cpus
    fi
}

# Ends what was started here, and nothing else.
finish() {
    local pid
    for pid in "${started[@]}"; do stop "$pid"; done
    restore_policy
    rm -rf "$tmp"
}

# stop PID: asks it to end, insists after 3 s.
stop() {
    kill "$1" 2>/dev/null || return 0
    for _ in $(seq 150); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.02
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# Ends all servers under test; the upstream stays.
stop_servers() {
    local name pid
    for name in "${!pid_of[@]}"; do stop "${pid_of[$name]}"; done
    pid_of=() at=()
    started=("$nsd_pid")
}

# Says what is wrong and ends the run.
die() {
    echo "benches/compare/run: $*" >&2
    exit 70
}

# on CPUS NAME COMMAND...: starts it there, its output in a file of that name; its id is in $pid.
on() {
    local cpus=$1 name=$2
    shift 2
    taskset -c "$cpus" "$@" >"$dir/$name.out" 2>&1 &
    pid=$!
    started+=("$pid")
}

# await NAME COMMAND...: repeats the command until it succeeds, 10 s at most.
await() {
    local name=$1
    shift
    for _ in $(seq 500); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.02
    done
    cat "$dir/$name.out" >&2
    die "$name did not start"
}

tick_us=$((1000000 / $(getconf CLK_TCK)))

# cpu_us PID...: user and system time together, ended children included (dnsmasq answers TCP in
# such). The name in parentheses may hold anything, so what comes before its end is cut.
cpu_us() {
    local -a directories=("${@/#//proc/}")
    cat "${directories[@]/%//stat}" |
        awk -v us="$tick_us" '{ sub(/^.*\) /, ""); sum += $12 + $13 + $14 + $15 } END { print sum * us }'
}

# threads_us PID: a line for each thread: its id, its name, its CPU time.
threads_us() {
    local task
    for task in "/proc/$1/task"/*; do
        echo "${task##*/} $(cat "$task/comm")" \
            "$(awk -v us="$tick_us" '{ sub(/^.*\) /, ""); print ($12 + $13) * us }' "$task/stat")"
    done
}

# rss_kib PID...: their resident sets together.
rss_kib() {
    local -a directories=("${@/#//proc/}")
    awk '$1 == "VmRSS:" { sum += $2 } END { print sum }' "${directories[@]/%//status}"
}
