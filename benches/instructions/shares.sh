# Where the instructions of a profile are; sourced by check. Wants $root and $program.

# shares PROFILE HITS: instructions a hit, by source file and by function.
shares() {
    local profile=$1 hits=$2
    instructions_by_address "$profile" >"$profile.addresses"
    cut -d' ' -f1 "$profile.addresses" | addr2line -a -i -e "$program" >"$profile.lines"
    echo "instructions a hit by source file, with what is inlined from std and what libc does for it:"
    by_source "$profile.addresses" "$profile.lines" "$hits" | sort -rn
    echo "largest functions that were not inlined, with what they call:"
    by_function "$profile" "$hits"
}

# "0xADDRESS INSTRUCTIONS LIBC" for each address of the program: LIBC are those of the libc function
# that is called there.
instructions_by_address() {
    awk '
        /^ob=/ { ours = !/\/lib[^\/]*\.so/ }
        /^cob=/ { libc = /\/libc\.so/ }
        # Through libc to main, and so to all.
        /^cfn=.*(below main|libc_start)/ { libc = 0 }
        /^calls=/ { call = 1; next }
        /^0x/ && call { if (ours && libc) called[$1] += $3; call = libc = 0; next }
        /^0x/ && ours { own[$1] += $3 }
        END {
            for (at in called) own[at] += 0
            for (at in own) print at, own[at], called[at] + 0
        }' "$1"
}

# Each address counts for the innermost source file that is not of std.
by_source() {
    awk -v root="$root/" -v hits="$3" '
        function settle() { if (at != "") { sum[file] += own[at] + libc[at]; all += libc[at] } }
        function title(line) {
            sub(/:[^:]*$/, "", line)
            if (index(line, root) == 1) return substr(line, length(root) + 1)
            if (sub(/.*\/registry\/src\/[^\/]*\//, "", line)) { sub(/\/.*/, "", line); return line }
            return line ~ /^(\/rustc\/|\?\?)/ ? "" : line
        }
        NR == FNR { own[$1] = $2; libc[$1] = $3; order[++count] = $1; next }
        /^0x/ { settle(); at = order[++turn]; file = "std"; known = 0; next }
        !known { found = title($0); if (found != "") { file = found; known = 1 } }
        END {
            settle()
            for (file in sum)
                if (sum[file] >= hits) printf "%8.1f  %s\n", sum[file] / hits, file
                else rest += sum[file]
            printf "%8.1f  all other files\n%8.1f  (in libc, of all these: memcpy, memcmp)\n", rest / hits, all / hits
        }' "$1" "$2"
}

by_function() {
    callgrind_annotate --inclusive=yes --auto=no --threshold=100 --show-percs=no "$1" 2>/dev/null |
        awk -v hits="$2" '
            $1 ~ /^[0-9,]+$/ && / \[.*\]$/ && !/PROGRAM TOTALS/ {
                count = $1; gsub(",", "", count)
                name = $0; sub(/^ *[0-9,]+ +[^:]*:/, "", name); sub(/ \[[^\[]*\]$/, "", name)
                if (name ~ /counted_batch/) all = count
                # What calls it has the same count.
                if (count + 0 < all + 0 && !(name in seen) && shown++ < 10) {
                    seen[name] = 1
                    printf "%8.1f  %s\n", count / hits, name
                }
            }'
}
