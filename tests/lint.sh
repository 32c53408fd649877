#!/usr/bin/env bash
# make lint: format, clang-tidy, who may include what, and settings that are named but do not exist.
# Usage: lint.sh <build folder>
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
failed=0
fail() { echo "lint: $*" >&2; failed=1; }

for tool in clang-format-14 clang-tidy-14 pkg-config; do
    command -v "$tool" >/dev/null ||
        { echo "lint: $tool is missing: apt-get install clang-format-14 clang-tidy-14 pkg-config" >&2; exit 1; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mapfile -t sources < <(git ls-files '*.c' '*.h')
clang-format-14 --dry-run --Werror "${sources[@]}" 2>"$scratch/format" ||
    { head -20 "$scratch/format" >&2; fail "run: clang-format-14 -i \$(git ls-files '*.c' '*.h')"; }

# None of the files in these folders may match the pattern, but for those named.
forbid() { # what is wrong, pattern, files that may ('' for none), folders...
    local what=$1 pattern=$2 may=$3 found
    shift 3
    found=$(grep -rlE --include='*.[ch]' "$pattern" "$@" | grep -vE "^($may)$" | tr '\n' ' ')
    [ -z "$found" ] || fail "$what: $found"
}

# Only these files may include a library's header: replacing the library is then a matter of those.
code=(gateway workers shared deploy)
forbid '<librdkafka/…> belongs to shared/kafka_private.h' '#include <librdkafka/' \
    'shared/kafka_private\.h|deploy/setup/topics\.c' "${code[@]}"
forbid '<libpq-fe.h> belongs to shared/pg* and deploy/setup/' '#include <libpq-fe\.h' \
    'shared/pg[a-z_]*\.[ch]|deploy/setup/[a-z_]+\.[ch]' "${code[@]}"
forbid '<microhttpd.h> belongs to shared/http_daemon.h' '#include <microhttpd\.h' 'shared/http_daemon\.h' "${code[@]}"
forbid 'shared/http_daemon.h belongs to files of the HTTP server' '#include "shared/http_daemon\.h' 'shared/http_(server|access|waiting|answer)\.c' "${code[@]}"
forbid '<curl/…> belongs to shared/http_multi and shared/http_transfer' '#include <curl/' 'shared/http_(multi|transfer)\.[ch]' "${code[@]}"

# Dependencies point one way: gateway/ and workers/ → shared/ → schemas/.
forbid 'shared/ and deploy/ must not include gateway/ or workers/' '#include "(gateway|workers)/' '' shared deploy
forbid 'workers/ must not include gateway/' '#include "gateway/' '' workers
forbid 'gateway/ must not include workers/' '#include "workers/' '' gateway
for worker in workers/*/; do
    forbid "only $worker may include its own headers" "#include \"$worker" "$worker.*" workers
done

make -s BUILD="$build" build || { echo "lint: the build failed" >&2; exit 1; }
cp docs/settings.md "$scratch/settings.md"
make -s BUILD="$build" docs
cmp -s "$scratch/settings.md" docs/settings.md || fail "docs/settings.md was not fresh; make docs has written it anew: commit it"

# Variables that the stack passes, or the docs name as `NAME` or NAME=…, are settings of some program.
setting() { grep -qF "| \`$1\` |" docs/settings.md; }
no_setting='KAFKA_CONFIG_[A-Z_]+|(GATEWAY|GENERATOR|EVALUATOR|RECORDER|OPTIMIZER)_URL|BENCH_ARGS|CHAOS_ARGS'
while IFS=: read -r file name; do
    [[ $name =~ ^($no_setting)$ ]] || setting "$name" || fail "$file names $name, which is no setting"
done < <({
    grep -oE '"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+"' deploy/local/fleet.py deploy/local/stack.py | tr -d '"'
    grep -oE '`[A-Z][A-Z0-9]*(_[A-Z0-9]+)+`|\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+=' README.md docs/*.md schemas/README.md | tr -d '`='
} | sort -u)

# One file a run: clang-tidy 14 sees no va_start in the second file of a run.
flags="-std=gnu17 -D_GNU_SOURCE -I. -I$build $(pkg-config --cflags libpq)"
git ls-files 'gateway/*.c' 'workers/*.c' 'shared/*.c' 'deploy/setup/*.c' |
    xargs -P "$(nproc)" -n 1 sh -c 'clang-tidy-14 --quiet "$1" -- '"$flags"' 2>/dev/null' lint ||
    fail "clang-tidy found what stands above"

[ $failed = 0 ] && echo 'lint: clean'
exit $failed
