#!/usr/bin/env bash
# Shows that the simulator finds what it is there for: puts each defect of tests/Weir.Proxy.Simulation/mutants back into a copy of the
# tree, one at a time, and expects the simulation to fail. Prints for each how long it took, and the seed or the test that found it.
#   eng/simulation-mutants.sh [PART-OF-A-NAME]     e.g. eng/simulation-mutants.sh 09
# WEIR_SIMULATION_SECONDS is how long each is searched for; WEIR_BUILD_LOCK a file to lock while something is built or run.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d "${TMPDIR:-/tmp}/weir-mutants.XXXXXX")
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/src" "$copy/tests"
cp "$root"/Directory.* "$root"/.editorconfig "$root"/weir.slnx "$copy"
cp -r "$root/eng" "$copy"
cp -r "$root/src/Weir.Proxy" "$root/src/Weir.Xds" "$copy/src"
cp -r "$root/tests/Weir.Proxy.Simulation" "$root/tests/Directory.Build.props" "$copy/tests"
cd "$copy" || exit 2
export WEIR_SIMULATION_SECONDS=${WEIR_SIMULATION_SECONDS:-20}

search() { # builds, and says in the exit status whether the tests pass: 0 yes, 1 no, 2 there was nothing to run
  dotnet build tests/Weir.Proxy.Simulation -c Release -v quiet -nologo >build.log 2>&1 || return 2
  timeout 280 dotnet test tests/Weir.Proxy.Simulation -c Release --no-build --nologo >test.log 2>&1 || return 1
}
locked() {
  if [ -n "${WEIR_BUILD_LOCK:-}" ]; then
    (flock 9 && "$@") 9>"$WEIR_BUILD_LOCK"
  else
    "$@"
  fi
}

missed=0
miss() { echo "FAIL  $1"; missed=$((missed + 1)); }
for mutant in "$root"/tests/Weir.Proxy.Simulation/mutants/*"${1:-}"*.patch; do
  name=$(basename "$mutant" .patch)
  if ! patch -p1 -s --fuzz=3 --no-backup-if-mismatch <"$mutant" >/dev/null; then
    miss "$name: the patch does not apply any more"
    continue
  fi
  locked search
  case $? in
    0) miss "$name: not found in $WEIR_SIMULATION_SECONDS s" ;;
    2) miss "$name: does not build: $(grep -m 1 error build.log)" ;;
    *)
      found=$(grep -oE 'first after [0-9.]+ s: seed [0-9]+: .*' test.log | sort -t' ' -k3n | head -n 1)
      echo "ok    $name: ${found:-$(grep -m 1 -oE 'Failed [A-Za-z_.]+.*' test.log)}"
      ;;
  esac
  patch -p1 -s -R --fuzz=3 --no-backup-if-mismatch <"$mutant" >/dev/null
done
[ "$missed" = 0 ]
