#!/usr/bin/env bash
# make lint: format, clang-tidy, and the rules of who may include what. Usage: lint.sh <build folder>
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
failed=0
fail() { echo "lint: $*" >&2; failed=1; }

for tool in clang-format-14 clang-tidy-14; do
    command -v "$tool" >/dev/null || { echo "lint: $tool is missing: apt-get install clang-format-14 clang-tidy-14" >&2; exit 1; }
done

mapfile -t sources < <(git ls-files '*.c' '*.h')
clang-format-14 --dry-run --Werror "${sources[@]}" 2>/tmp/moru-lint.$$ || { head -20 /tmp/moru-lint.$$ >&2; fail "run: clang-format-14 -i \$(git ls-files '*.c' '*.h')"; }
rm -f /tmp/moru-lint.$$

# Only these files may include a library's header: replacing the library is then a matter of those.
only() { # header, allowed pattern
    local found
    found=$(grep -lE "#include <$1" -r gateway workers shared deploy --include='*.c' --include='*.h' | grep -vE "^($2)$" || true)
    [ -z "$found" ] || fail "<$1> is included by $found"
}
only 'librdkafka/' 'shared/kafka_private\.h|deploy/setup/topics\.c'
only 'libpq-fe\.h' 'shared/pg[a-z_]*\.[ch]|deploy/setup/[a-z_]+\.[ch]'
only 'microhttpd\.h' 'shared/http_[a-z_]+\.[ch]'
only 'curl/' 'shared/http_(client|hosts)\.[ch]'

# Dependencies point one way: gateway/ and workers/ → shared/ → schemas/.
found=$(grep -lE '#include "(gateway|workers)/' -r shared deploy || true)
[ -z "$found" ] || fail "shared/ and deploy/ must not include gateway/ or workers/: $found"
for worker in generator evaluator recorder; do
    found=$(grep -lE "#include \"workers/$worker/" -r gateway workers | grep -v "^workers/$worker/" || true)
    [ -z "$found" ] || fail "only workers/$worker/ may include its own headers: $found"
done

# Settings that the stack passes are settings of some program.
for name in $(grep -ohE '"[A-Z][A-Z_]+_[A-Z_]+"' deploy/local/fleet.py | tr -d '"' | sort -u); do
    grep -rqE "\"$name\"" gateway workers shared deploy/setup --include='*.c' || fail "$name in deploy/local is no setting"
done

make -s BUILD="$build" docs && git diff --exit-code --stat docs/settings.md || fail "docs/settings.md was not fresh: commit it"

flags="-std=gnu17 -D_GNU_SOURCE -I. -I$build $(pkg-config --cflags libpq)"
git ls-files 'gateway/*.c' 'workers/*.c' 'shared/*.c' 'deploy/setup/*.c' |
    xargs -P "$(nproc)" -n 4 sh -c 'clang-tidy-14 --quiet "$@" -- '"$flags"' 2>/dev/null' lint || fail "clang-tidy found what stands above"

[ $failed = 0 ] && echo 'lint: clean'
exit $failed
