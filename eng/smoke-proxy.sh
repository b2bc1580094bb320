#!/usr/bin/env bash
# Starts a proxy program without a control plane and looks at it: readiness, metrics, memory, an orderly end.
set -euo pipefail
proxy=$1
address=127.126.$((RANDOM % 200 + 1)).$((RANDOM % 200 + 1))
"$proxy" sidecar --xds unix:/nonexistent/xds.sock --status "$address:15020" 2>/dev/null &
pid=$!
trap 'kill "$pid" 2>/dev/null || true' EXIT
ask() { exec 3<>"/dev/tcp/$address/15020"; printf 'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' "$1" >&3; cat <&3; exec 3>&-; }
for _ in $(seq 100); do
  answer=$(ask /healthz/ready 2>/dev/null) && [ -n "$answer" ] && break
  sleep 0.05
done
grep -q '^HTTP/1.1 503' <<<"$answer" || { echo "not ready must be 503: $answer"; exit 1; }
ask /stats/prometheus | grep -q '^# TYPE istio_requests_total counter' || { echo "no metrics"; exit 1; }
# The proxy gives back what its start needed a second after it.
sleep 2.5
resident=$(sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
echo "resident: $resident kB"
[ "$resident" -lt 12288 ] || { echo "more than 12 MB"; exit 1; }
kill -TERM "$pid"
wait "$pid"
