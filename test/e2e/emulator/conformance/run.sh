#!/usr/bin/env bash
# Runs the conformance suites of local/ against other implementations: DynamoDB Local (AWS's own), ElasticMQ and moto for
# SQS, aws-sam-translator for templates. It installs them into $TOOLS and starts each in a network namespace of its own,
# because DynamoDB Local listens on every interface.
#
# A test that fails against another implementation must be listed in differences.txt, with the source that shows AWS's
# behaviour; otherwise the run fails. An implementation that cannot be installed is reported as NOT RUN, which fails the
# run if CONFORMANCE=required.
set -uo pipefail
cd "$(dirname "$0")/../../../.."
TOOLS="${TOOLS:-${TMPDIR:-/tmp}/fanfare-conformance}"
here=test/e2e/emulator/conformance
mkdir -p "$TOOLS"
passed=() failed=() missing=()

# skip reports that an implementation is not tested, with the reason.
skip() { # name, reason
  missing+=("$1")
  printf '\n!!! NOT RUN: %s: %s\n\n' "$1" "$2" >&2
}

# isolated_run starts a server and runs a test binary beside it, in a network namespace of their own.
isolated_run() { # port, "server command", command...
  local port=$1 server=$2
  shift 2
  unshare --map-root-user --net bash -c '
    ip link set lo up
    port=$1 server=$2; shift 2
    set -f # Java expands the asterisk of a class path
    (cd "$(dirname "$LOG")" && exec $server) >"$LOG" 2>&1 & # DynamoDB Local writes a file into its working directory
    pid=$!
    trap "kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null" EXIT
    for _ in $(seq 600); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.2; done
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "the server does not start:"; tail -20 "$LOG"; exit 99; }
    "$@"' bash "$port" "$server" "$@"
}

# suite runs a suite against a server and compares its failures with the list of differences.
suite() { # name, port, "server command", package, endpoint variable, pattern
  local name=$1 port=$2 server=$3 package=$4 variable=$5 pattern=$6
  printf '\n=== %s against %s\n' "local/$package" "$name"
  CGO_ENABLED=0 GOFLAGS= go test -c -o "$TOOLS/$package.test" "./local/$package" || { failed+=("$name"); return; }
  (cd "local/$package" && LOG="$TOOLS/$name.log" isolated_run "$port" "$server" \
    env "$variable=http://127.0.0.1:$port" "$TOOLS/$package.test" -test.v -test.timeout 10m -test.run "$pattern") >"$TOOLS/$name.out" 2>&1
  local ran
  ran=$(grep -c '^ *--- ' "$TOOLS/$name.out")
  if [ "$ran" -eq 0 ]; then
    tail -20 "$TOOLS/$name.out"
    failed+=("$name")
    return
  fi
  # The innermost tests that failed.
  sed -n 's/^ *--- FAIL: \([^ ]*\).*/\1/p' "$TOOLS/$name.out" | sort >"$TOOLS/$name.all"
  awk 'NR == FNR { all[$1]; next } { inner = 1; for (t in all) if (index(t, $1 "/") == 1) inner = 0; if (inner) print $1 }' \
    "$TOOLS/$name.all" "$TOOLS/$name.all" >"$TOOLS/$name.failed"
  awk -v n="$name" '$1 == n { print $2 }' "$here/differences.txt" | sort >"$TOOLS/$name.known"
  local unknown stale
  unknown=$(comm -23 "$TOOLS/$name.failed" "$TOOLS/$name.known")
  stale=$(comm -13 "$TOOLS/$name.failed" "$TOOLS/$name.known")
  echo "$ran tests, $(wc -l <"$TOOLS/$name.failed") differ, $(wc -l <"$TOOLS/$name.known") of differences.txt"
  [ -z "$stale" ] || printf 'No longer different:\n%s\n' "$stale"
  if [ -n "$unknown" ]; then
    printf 'Different, and not in differences.txt (see %s):\n%s\n' "$TOOLS/$name.out" "$unknown"
    failed+=("$name")
  else
    passed+=("$name")
  fi
}

isolated=yes
unshare --map-root-user --net ip link set lo up 2>/dev/null || isolated=

# --- DynamoDB Local: npm's amplify-dynamodb-simulator bundles AWS's jar. It is for tests only, and is not in this repository. ---
dynamodb="$TOOLS/dynamodb-local/package/emulator"
[ -f "$dynamodb/DynamoDBLocal.jar" ] || {
  mkdir -p "$TOOLS/dynamodb-local"
  (cd "$TOOLS/dynamodb-local" && timeout 180 npm pack --silent amplify-dynamodb-simulator@2.9.30 && tar xzf amplify-dynamodb-simulator-*.tgz) >"$TOOLS/npm.log" 2>&1
}
if [ -z "$isolated" ]; then skip dynamodb-local "cannot create a network namespace (unshare, ip)"
elif ! command -v java >/dev/null; then skip dynamodb-local "java is not installed"
elif [ ! -f "$dynamodb/DynamoDBLocal.jar" ]; then skip dynamodb-local "npm cannot fetch amplify-dynamodb-simulator ($TOOLS/npm.log)"
else
  suite dynamodb-local 8000 "java -Djava.library.path=$dynamodb/DynamoDBLocal_lib -jar $dynamodb/DynamoDBLocal.jar -inMemory -port 8000" \
    dynamodb DYNAMODB_ENDPOINT '.'
fi

# --- ElasticMQ ---
[ -d "$TOOLS/elasticmq" ] || {
  timeout 180 mvn -q -B -f "$here/elasticmq.xml" dependency:copy-dependencies -DoutputDirectory="$TOOLS/elasticmq" >"$TOOLS/mvn.log" 2>&1 || rm -rf "$TOOLS/elasticmq"
}
if [ -z "$isolated" ]; then skip elasticmq "cannot create a network namespace (unshare, ip)"
elif ! command -v java >/dev/null; then skip elasticmq "java is not installed"
elif [ ! -d "$TOOLS/elasticmq" ]; then skip elasticmq "Maven cannot fetch org.elasticmq ($TOOLS/mvn.log)"
else
  suite elasticmq 9324 "java -Dconfig.file=$PWD/$here/elasticmq.conf -cp $TOOLS/elasticmq/* org.elasticmq.server.Main" sqs SQS_ENDPOINT '^TestConform'
fi

# --- moto and aws-sam-translator ---
[ -x "$TOOLS/python/bin/python" ] && "$TOOLS/python/bin/python" -c 'import moto.server, samtranslator' 2>/dev/null || {
  python3 -m venv "$TOOLS/python" &&
    timeout 180 "$TOOLS/python/bin/pip" install --quiet --disable-pip-version-check 'moto[server]==5.2.1' 'aws-sam-translator==1.115.0' pyyaml
} >"$TOOLS/pip.log" 2>&1
python="$TOOLS/python/bin/python"
if [ -z "$isolated" ]; then skip moto "cannot create a network namespace (unshare, ip)"
elif ! "$python" -c 'import moto.server' 2>/dev/null; then skip moto "pip cannot fetch moto[server] ($TOOLS/pip.log)"
else
  suite moto 9325 "$TOOLS/python/bin/moto_server -H 127.0.0.1 -p 9325" sqs SQS_ENDPOINT '^TestConform'
fi

printf '\n=== local/template against aws-sam-translator\n'
if ! "$python" -c 'import samtranslator, yaml' 2>/dev/null; then skip aws-sam-translator "pip cannot fetch it ($TOOLS/pip.log)"
else
  # It runs in a copy, because it writes its output beside the templates.
  copy="$TOOLS/copy"
  rm -rf "$copy" && mkdir -p "$copy" && git ls-files -z | xargs -0 cp --parents -t "$copy" 2>"$TOOLS/copy.log"
  if (cd "$copy" && AWS_DEFAULT_REGION=us-east-1 "$python" local/template/testdata/expand.py &&
    CGO_ENABLED=0 GOFLAGS= go test -count=1 -run TestExpansion ./local/template) >"$TOOLS/translator.out" 2>&1; then
    tail -1 "$TOOLS/translator.out"
    passed+=(aws-sam-translator)
  else
    tail -40 "$TOOLS/translator.out"
    failed+=(aws-sam-translator)
  fi
fi

printf '\nConformance: agree: %s; differ: %s; NOT RUN: %s\n' "${passed[*]:-none}" "${failed[*]:-none}" "${missing[*]:-none}"
[ ${#failed[@]} -eq 0 ] || exit 1
[ ${#missing[@]} -eq 0 ] || [ "${CONFORMANCE:-}" != required ] || exit 1
