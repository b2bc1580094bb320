#!/usr/bin/env bash
# Runs the commands that users run, with every kubectl on this machine (kubectl and kubectl.1.N beside it), against a fresh cluster.
set -uo pipefail
cd "$(dirname "$0")/.."
data=$(mktemp -d)
manifest=$data/app.yaml
failures=0
trap './apps/Weir/bin/Release/net10.0/weir down --data "$data" >/dev/null 2>&1; rm -rf "$data"' EXIT
apps/Weir/bin/Release/net10.0/weir up --detach --data "$data" >/dev/null || exit 1
export KUBECONFIG=$data/kubeconfig KUBECACHEDIR=$data/cache KUBE_EDITOR="sed -i s/tier:.front/tier:\ back/"
cat >"$manifest" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: ghcr.io/stefanprodan/podinfo:6.0.0
        command: [./podinfo, --port=9898]
        ports: [{name: http, containerPort: 9898}]
        readinessProbe: {httpGet: {path: /readyz, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
Y
try() { # EXPECTED-TEXT COMMAND...
  local expected=$1 out
  shift
  out=$(timeout 40 "$@" 2>&1)
  if [ $? != 0 ] || ! grep -qE -- "$expected" <<<"$out"; then
    failures=$((failures + 1))
    echo "FAIL ${*} (expected: $expected)"
    head -n 5 <<<"$out"
  fi
}
run() {
  local k=$1 minor=$2 ns=m$2
  try created "$k" create namespace "$ns"
  local n="$k -n $ns"
  try 'deployment.apps/web created' $n apply -f "$manifest"
  try 'unchanged' $n apply -f "$manifest"
  try 'successfully rolled out' $n rollout status deployment/web --timeout=30s
  try 'NAME +READY +UP-TO-DATE +AVAILABLE +AGE' $n get deploy
  try 'web +1/1' $n get deploy -o wide -l tier=front
  try '^deployment.apps/web$' $n get deploy -o name
  try 'podinfo:6.0.0' $n get deploy web -o jsonpath='{..image}'
  try 'kind: Deployment' $n get deploy -o yaml --field-selector metadata.name=web
  try 'web' $k get all -A
  try 'condition met' $n wait deployment/web --for=condition=Available --timeout=20s
  try 'Events:' $n describe deployment web
  try 'Started container web' $n describe pod -l app=web
  try 'image updated' $n set image deployment/web web=ghcr.io/stefanprodan/podinfo:6.0.1
  try 'successfully rolled out' $n rollout status deployment/web --timeout=30s
  try '^2 ' $n rollout history deployment/web
  try 'scaled' $n scale deployment/web --replicas=2
  try 'patched' $n patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"b"}]}]}}}}'
  try 'patched' $n patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'
  try 'patched' $n patch deployment web --type=merge -p '{"metadata":{"labels":{"x":"y"}}}'
  try 'labeled' $n label deployment web a=b
  try 'annotate' $n annotate deployment web a=b
  try 'edited' $n edit deployment web
  try 'back' $n get deploy web -o jsonpath='{.metadata.labels.tier}'
  try 'restarted' $n rollout restart deployment/web
  try 'successfully rolled out' $n rollout status deployment/web --timeout=30s
  try 'Starting podinfo' $n logs deploy/web --tail=5
  if [ "$minor" -ge 29 ]; then
    KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true try 'HOSTNAME=web' $n exec deploy/web -- env
  fi
  try 'virtualservices' "$k" api-resources
  try 'ok' "$k" get --raw /readyz
  try 'FIELDS|kind: +Canary|KIND: +Canary' "$k" explain canary.spec
  try 'deleted' $n delete -f "$manifest"
  try 'deleted' "$k" delete namespace "$ns" --timeout=30s
}
real=$(readlink -f "$(command -v kubectl)")
found=0
for k in "$(dirname "$real")"/kubectl.1.*; do
  if [ -x "$k" ]; then
    found=1
    before=$failures
    run "$k" "${k##*.1.}"
    echo "$(basename "$k"): $([ "$failures" = "$before" ] && echo ok || echo "$((failures - before)) failures")"
  fi
done
[ "$found" = 1 ] || run kubectl 99
[ "$failures" = 0 ]
