#!/usr/bin/env bash
# Publishes the proxy with NativeAOT to artifacts/proxy (needs gcc or clang). Takes about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
# A lock file and intermediate files of its own: the AOT compiler is not part of the ordinary restore.
dotnet publish apps/Weir.Proxy -f net9.0 -r linux-x64 -c Release -p:WeirAot=true \
  -p:BaseIntermediateOutputPath=obj-aot/ -p:NuGetLockFilePath=obj-aot/packages.lock.json -p:RestoreLockedMode=false \
  -o artifacts/proxy -v quiet -nologo "$@"
